"""Hostile servers by the hundred thousand: what no server says by mistake. ``python -m tests.fuzz_remote --help``."""
