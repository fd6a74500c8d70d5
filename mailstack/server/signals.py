"""SIGHUP reads again what can be read again while we run; SIGTERM is the ordinary end."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from twisted.application.service import Service
from twisted.internet.error import ReactorNotRunning

from mailstack.interfaces.log import IEventLog


class Signals(Service):
    name = "signals"

    def __init__(self, actions: Sequence[Callable[[], None]], log: IEventLog, reactor: Any) -> None:
        """``actions`` are for SIGHUP; one that raises OSError or ValueError has left things as they were."""
        self._actions = actions
        self._log = log
        self._reactor = reactor

    def startService(self) -> None:
        Service.startService(self)
        # Later than the reactor, which sets its own handlers when it starts to run.
        self._reactor.callWhenRunning(self._listen)

    def stopService(self) -> None:
        Service.stopService(self)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def _listen(self) -> None:
        signal.signal(signal.SIGHUP, lambda number, frame: self._reactor.callFromThread(self.reload))
        # Twisted's own handler would have the process die of the signal, as if something had gone wrong.
        signal.signal(signal.SIGTERM, lambda number, frame: self._reactor.callFromThread(self._end))

    def reload(self) -> None:
        failed = [action for action in self._actions if not self._done(action)]
        if not failed:
            self._log.event("reload", what="users, aliases, certificates and templates are read again")

    def _done(self, action: Callable[[], None]) -> bool:
        try:
            action()
        except (OSError, ValueError) as error:
            self._log.warn("reload", what=f"the former version stays in use: {error}")
            return False
        return True

    def _end(self) -> None:
        if self.running:
            with suppress(ReactorNotRunning):  # it is stopping already
                self._reactor.stop()
