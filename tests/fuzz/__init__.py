"""Hostile input by the million: what no client says by mistake. ``python -m tests.fuzz --help``."""
