"""Answers leave at once instead of with the reactor's next round.

``transport.write`` asks the reactor to watch the socket, returns to it, and is called back to send: two epoll_ctl(2)
and one poll for an answer of 20 octets that the socket would have taken right away.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.tcp import Connection


def write(transport: Any, octets: bytes) -> None:
    """Like ``transport.write``. What the socket does not take now goes the usual way, and so does all under TLS."""
    if isinstance(transport, Connection) and not _waiting(transport):
        sent = transport.writeSomeData(octets)
        # After an error it is an exception: the reactor comes upon it too, and ends the connection.
        octets = octets[sent:] if isinstance(sent, int) else octets
    if octets:
        transport.write(octets)


def _waiting(transport: Connection) -> bool:
    """Whether earlier octets have not left yet, none may follow, or (since STARTTLS) they must be encrypted first."""
    waiting = transport.dataBuffer or transport._tempDataLen
    return bool(waiting or transport.TLS or transport.disconnecting or not transport.connected)
