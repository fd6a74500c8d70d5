"""Twisted's epoll reactor, without what its legacy log does around each event.

Twisted notes for each event whose it is, in case ``log.msg`` is called meanwhile: eight calls and three dictionaries,
3 to 4 % of what a letter costs. Our log lines say by themselves whom they are about.
"""

from __future__ import annotations

from select import EPOLLIN
from typing import Any

from twisted.internet.epollreactor import EPollReactor
from twisted.logger import Logger

_log = Logger()


class Reactor(EPollReactor):
    """As Twisted's own, it logs what an event raises, ends that connection, and goes on."""

    _doReadOrWrite: Any  # Twisted's reactors have no types
    _disconnectSelectable: Any

    def doPoll(self, timeout: float | None) -> None:
        """``timeout`` in seconds; None: until something happens."""
        for fd, event in self._poller.poll(timeout, len(self._selectables)):
            selectable = self._selectables.get(fd)
            if selectable is None:
                continue  # an event before this one has closed it
            try:
                if event == EPOLLIN:
                    self._read(selectable)
                else:
                    self._doReadOrWrite(selectable, fd, event)
            except Exception:
                _log.failure("a bug, please report it: the end of {what} failed", what=selectable)

    doIteration = doPoll

    def _read(self, selectable: Any) -> None:
        """Nearly all events are this one."""
        try:
            why = selectable.doRead()
        except BaseException as error:
            _log.failure("a bug, please report it: reading from {what} failed", what=selectable)
            self._disconnectSelectable(selectable, error, False)
            return
        if why:
            self._disconnectSelectable(selectable, why, True)
