"""Chance that outlives restarts, in a file of its own."""

from __future__ import annotations

import secrets
from pathlib import Path

from mailstack import durable

SIZE = 32  # octets


def kept(path: Path) -> bytes:
    """What the file has; made at the first call, and again if it is damaged. Blocking; OSError."""
    try:
        found = path.read_bytes()
    except FileNotFoundError:
        found = b""
    if len(found) == SIZE:
        return found
    made = secrets.token_bytes(SIZE)
    durable.make_folders(path.parent)
    durable.replace(path, made, 0o600)
    return made
