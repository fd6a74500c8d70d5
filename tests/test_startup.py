"""The log file of twistd --logfile."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mailstack import startup
from mailstack.startup import RotatedFile


def opened(path: Path) -> Any:
    make: Any = RotatedFile
    return make(path.name, str(path.parent))


def test_a_file_that_cannot_be_opened_once_is_opened_with_the_next_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twisted's own stays closed for good."""
    file = opened(tmp_path / "log")
    file.write("one\n")
    real = RotatedFile._openFile

    def refused(self: Any) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(RotatedFile, "_openFile", refused)
    file.rotate_now()
    with pytest.raises(OSError, match="Too many open files"):
        file.write("lost\n")
    monkeypatch.setattr(RotatedFile, "_openFile", real)
    file.write("two\n")
    assert (tmp_path / "log.1").read_text() == "one\n" and (tmp_path / "log").read_text() == "two\n"


def test_a_signal_does_not_rotate_in_the_midst_of_something(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Callable[[], None]] = []
    options: Any = startup.Options()
    options.parent = {"logfile": str(tmp_path / "log"), "nodaemon": True}
    before = signal.getsignal(signal.SIGUSR1)
    try:
        file: Any = options.log_file(calls.append)
        file.write("one\n")
        os.kill(os.getpid(), signal.SIGUSR1)
        assert not (tmp_path / "log.1").exists() and len(calls) == 1
        calls[0]()
        assert (tmp_path / "log.1").exists()
    finally:
        signal.signal(signal.SIGUSR1, before)
