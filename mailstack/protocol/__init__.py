"""Protocols without I/O: bytes in, events out, and back. They decide nothing."""
