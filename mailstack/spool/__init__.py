"""Accepted mail: one immutable file a message, rows in SQLite, one group commit for both."""
