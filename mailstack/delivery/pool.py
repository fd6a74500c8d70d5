"""Connections that rest between letters, until the next letter for the same destination, or not for long."""

from __future__ import annotations

from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from mailstack.delivery.connection import Connection
from mailstack.interfaces.delivery import NextHop
from mailstack.model.value import frozen
from mailstack.protocol.smtp_dialogue import Login


@frozen(cache_hash=True)
class Way:
    """What connections must have in common to be used for the same letters: the destination with its policies, who we
    are there, and what was promised (REQUIRETLS is for sessions of its own)."""

    hop: NextHop
    login: Login | None = None
    require_tls: bool = False


@frozen
class Rules:
    """How long a connection is kept."""

    idle: float = 2.0  #: seconds of rest; Postfix's smtp_connection_cache_time_limit
    age: float = 300.0  #: seconds in all; Postfix's smtp_connection_reuse_time_limit
    letters: int = 100  #: sent on one connection
    refused: int = 3  #: of them, one after the other; servers slow down sessions with errors (smtpd_soft_error_limit)
    most: int = 100  #: that rest at a time, whatever their destination
    farewell: float = 1.0  #: seconds for all good-byes when the server stops


@frozen
class _Resting:
    way: Way
    since: float  #: by the clock


class Pool(Service):
    """Those that rest, the longest first. Who comes for one gets the last that was used: the others may go home."""

    name = "connections"

    def __init__(self, clock: Any, rules: Rules | None = None) -> None:  # Any: IReactorTime, as mypy sees no reactor
        self._clock: IReactorTime = clock
        self._rules = rules or Rules()
        self._resting: dict[Connection, _Resting] = {}
        self._ways: dict[Way, list[Connection]] = {}
        self._leaving: set[Connection] = set()
        self._timer: IDelayedCall | None = None
        self._stopping = False
        self._empty: Deferred[None] | None = None

    def __len__(self) -> int:
        return len(self._resting)

    def take(self, way: Way) -> Connection | None:
        """One that can be used now, as far as anybody knows here."""
        found = self._ways.get(way)
        if not found:
            return None
        connection = found[-1]
        self._forget(connection)
        return connection

    def rest(self, way: Way, connection: Connection) -> None:
        """It has served a letter. If it cannot serve another one, or should not, it goes."""
        if not connection.usable():
            return
        now = self._clock.seconds()
        connection.changed = self._changed
        if self._stopping or self._worn_out(connection, now):
            self._dismiss(connection)
            return
        self._resting[connection] = _Resting(way, now)
        self._ways.setdefault(way, []).append(connection)
        if len(self._resting) > self._rules.most:
            self._dismiss(next(iter(self._resting)))
        if self._timer is None:
            self._timer = self._clock.callLater(self._rules.idle, self._look)

    def _worn_out(self, connection: Connection, now: float) -> bool:
        rules = self._rules
        return (
            connection.letters >= rules.letters
            or connection.refused >= rules.refused
            or now - connection.made >= rules.age
        )

    def _forget(self, connection: Connection) -> None:
        resting = self._resting.pop(connection, None)
        if resting is None:
            return
        same = self._ways[resting.way]
        same.remove(connection)
        if not same:
            del self._ways[resting.way]

    def _changed(self, connection: Connection) -> None:
        """It is over, or gone: the other side has closed it, perhaps."""
        self._forget(connection)
        if connection.gone:
            self._leaving.discard(connection)
            if self._empty is not None and not self._leaving:
                empty, self._empty = self._empty, None
                empty.callback(None)

    def _dismiss(self, connection: Connection) -> None:
        self._forget(connection)
        self._leaving.add(connection)
        connection.quit()

    def _look(self) -> None:
        """One timer for all: whoever has rested for too long goes, then until the next one has."""
        self._timer = None
        now = self._clock.seconds()
        for connection, resting in list(self._resting.items()):
            left = resting.since + self._rules.idle - now
            if left > 0:
                self._timer = self._clock.callLater(left, self._look)
                return
            self._dismiss(connection)

    # ---- The server stops

    def stopService(self) -> Deferred[None] | None:
        """Those that rest say good-bye, briefly; those that are at work do when they have done it."""
        Service.stopService(self)
        self._stopping = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for connection in list(self._resting):
            self._dismiss(connection)
        if not self._leaving:
            return None
        self._empty = Deferred()
        self._empty.addTimeout(self._rules.farewell, self._clock)
        return self._empty.addErrback(lambda _: self._cut())

    def _cut(self) -> None:
        self._empty = None
        for connection in list(self._leaving):
            connection.abort()
