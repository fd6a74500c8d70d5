"""Counts how often limits strike, as a Twisted service."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

from mailstack.durable import make_folders, swap
from mailstack.interfaces.log import IEventLog, ILimitCounts
from mailstack.server.strikes import STATE_FILE, Strikes, read

PAUSE = 1.0  # seconds between two writes at least


@implementer(ILimitCounts)
class LimitCounts(Service):
    """Keeps the counts below ``data``, over restarts. They may be lost: nothing is synced, and a disk that refuses only
    keeps the command line from seeing them."""

    name = "limits"

    def __init__(self, data: Path, clock: IReactorTime, now: Callable[[], float], log: IEventLog) -> None:
        self._data = data
        self._clock = clock
        self._now = now
        self._log = log
        self._strikes = Strikes(now())
        self._writing: IDelayedCall | None = None
        self._complained = False

    def struck(self, limit: str, by: str) -> None:
        self._strikes = self._strikes.plus(limit, by, self._now())
        if self._writing is None and self.running:
            self._writing = self._clock.callLater(PAUSE, self._write)

    def startService(self) -> None:
        Service.startService(self)
        try:
            make_folders((self._data / STATE_FILE).parent)
            self._strikes = read(self._data) or self._strikes
        except OSError as error:
            self._complain(error)
        self._write()

    def stopService(self) -> None:
        Service.stopService(self)
        if self._writing is not None:
            self._writing.cancel()
            self._write()

    def _write(self) -> None:
        self._writing = None
        path = self._data / STATE_FILE
        try:
            swap(path, self._strikes.dump())
        except OSError as error:
            self._complain(error)
        else:
            self._complained = False

    def _complain(self, error: OSError) -> None:
        """Once: on a full disk limits strike all the time."""
        if not self._complained:
            self._complained = True
            self._log.warn("limits", note=f"{STATE_FILE} cannot be kept: {error}")
