"""A terminal for programs that want one."""

from __future__ import annotations

import os
import pty
import select
import time
from pathlib import Path

from tests.live.programs import program

TIMEOUT = 30  # seconds


def run_in_terminal(name: str, *arguments: object, home: Path) -> tuple[int, str]:
    """The exit code, and all that it drew."""
    command = [program(name), *map(str, arguments)]
    child, terminal = pty.fork()
    if child == 0:
        os.execve(command[0], command, {"TERM": "vt100", "HOME": str(home), "PATH": os.defpath, "LC_ALL": "C.UTF-8"})
    try:
        return _until_it_ends(child, terminal)
    finally:
        os.close(terminal)


def _until_it_ends(child: int, terminal: int) -> tuple[int, str]:
    drawn = b""
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        try:
            if select.select([terminal], [], [], 0.2)[0]:
                drawn += os.read(terminal, 65536)
        except OSError:  # the other end is closed: EIO
            break
    else:
        os.kill(child, 9)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), drawn.decode("utf-8", "replace")
