"""Answers leave, and connections end, at once instead of with the reactor's next round.

``transport.write`` and ``loseConnection`` ask the reactor to watch the socket, return to it, and are called back: two
epoll_ctl(2) and one poll for an answer of 20 octets that the socket would have taken right away.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.internet.tcp import Connection
from twisted.logger import Logger

_log = Logger()

MORE = getattr(socket, "MSG_MORE", 0)  # Linux


def write(transport: Any, octets: bytes) -> None:
    """Like ``transport.write``. What the socket does not take now goes the usual way, and so does all under TLS."""
    if isinstance(transport, Connection) and _ready(transport):
        octets = _send(transport, octets, 0)
    if octets:
        transport.write(octets)


def close(transport: Any, octets: bytes) -> None:
    """Like ``transport.write`` of the last words, and ``transport.loseConnection``: it ends when all is said.
    ``connectionLost`` may come before it returns. The last words and the end are one packet, which wakes the other side
    once."""
    if isinstance(transport, Connection) and _ready(transport):
        if octets:
            octets = _send(transport, octets, MORE)
        if not octets:
            transport.connectionLost(connectionDone)
            return
    if octets:
        transport.write(octets)
    transport.loseConnection()


class Burst:
    """What goes out in this round of the reactor, one right after the other when all has been heard that was ready. One
    burst wakes the other side once, and brings its next words back together."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._waiting: list[Callable[[], None]] = []

    def add(self, send: Callable[[], None]) -> None:
        if not self._waiting:
            self._clock.callLater(0, self._send_all)
        self._waiting.append(send)

    def _send_all(self) -> None:
        waiting, self._waiting = self._waiting, []
        for send in waiting:
            try:
                send()
            except Exception:
                # A bug: it must not keep back what others have to say.
                _log.failure("a bug, please report it: what a connection had to say was not sent")


def _send(transport: Connection, octets: bytes, flags: int) -> bytes:
    """What is left."""
    try:
        return octets[transport.socket.send(octets, flags) :]
    except OSError:
        return octets  # it would block, or has an error: the reactor comes upon that too, and ends the connection


def _ready(transport: Connection) -> bool:
    """Whether all earlier octets have left, more may follow, and (since STARTTLS) need not be encrypted first."""
    waiting = transport.dataBuffer or transport._tempDataLen
    return not (waiting or transport.TLS or transport.disconnecting) and bool(transport.connected)
