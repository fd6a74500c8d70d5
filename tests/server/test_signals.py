"""SIGHUP: everything is read again that can be, whatever is wrong with a part of it."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.error import ReactorNotRunning

from mailstack.server.signals import Signals
from tests.fakes import ListLog


class Reactor:
    stopped = 0

    def stop(self) -> None:
        if self.stopped:
            raise ReactorNotRunning("Can't stop reactor that isn't running.")
        self.stopped += 1


@pytest.mark.parametrize("error", [OSError("unreadable"), ValueError("not a certificate")])
def test_reload(error: Exception) -> None:
    """One action that fails leaves the others alone, and the log says which version is in use."""
    done: list[str] = []

    def fail() -> None:
        raise error

    log = ListLog()
    Signals([fail, lambda: done.append("users")], log, None).reload()
    assert done == ["users"]
    assert log.warnings == [("reload", {"what": f"the former version stays in use: {error}"})]
    assert not log.events, "it does not claim that all went well"


def test_second_sigterm_is_harmless() -> None:
    """The first one is being followed already."""
    reactor: Any = Reactor()
    signals = Signals([], ListLog(), reactor)
    signals.running = 1
    signals._end()
    signals._end()
    signals.running = 0
    signals._end()
    assert reactor.stopped == 1
