"""Memory that was freed goes back to the system: a large mailbox needs ten times as much for a moment as it keeps.

glibc's malloc by itself keeps it, and more so by the thread. Elsewhere there is nothing to do.
"""

from __future__ import annotations

import ctypes
import gc

_libc = ctypes.CDLL(None)

_M_ARENA_MAX = -8  # malloc.h


def one_arena() -> None:
    """Before any thread has one of its own, which :func:`give_back` does not reach. By the interpreter's lock only one
    allocates at a time anyway."""
    if hasattr(_libc, "mallopt"):
        _libc.mallopt(_M_ARENA_MAX, 1)


def give_back() -> None:
    """Takes some milliseconds. The collector is called because it empties the interpreter's own lists of free objects:
    one of them keeps a whole MiB."""
    gc.collect()
    if hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(ctypes.c_size_t(0))
