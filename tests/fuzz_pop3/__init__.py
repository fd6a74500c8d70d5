"""Hostile POP3 clients by the million. ``python -m tests.fuzz_pop3 --help``."""
