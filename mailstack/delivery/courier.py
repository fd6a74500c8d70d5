"""One letter to one host: connection, TLS, password, conversation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

from attrs import evolve, frozen
from twisted.internet.defer import CancelledError
from twisted.internet.endpoints import (
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
    UNIXClientEndpoint,
    connectProtocol,
)
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.ssl import Certificate

from mailstack.delivery.connection import Connection
from mailstack.delivery.ip import is_loopback
from mailstack.delivery.tls import Contexts, Handshake
from mailstack.interfaces.delivery import OPPORTUNISTIC, Host, ITlsPolicies, NextHop, Policy
from mailstack.interfaces.log import IEventLog
from mailstack.model.letter import Letter
from mailstack.model.reply import Reply
from mailstack.protocol.dots import DotEncoder
from mailstack.protocol.smtp_client import SmtpClient
from mailstack.protocol.smtp_dialogue import Login, Patience
from mailstack.protocol.smtp_opening import Manner
from mailstack.protocol.smtp_transaction import Envelope

CONNECT_TIMEOUT = 30.0  #: seconds, as Postfix's smtp_connect_timeout
SESSION = 3_600.0  #: seconds for one session, whatever happens in it ...
SLOWEST = 8 * 1_024  #: ... and one more for so many octets
BLOCK = 64 * 1_024  #: octets read from the file at once


@frozen
class Parcel:
    """A letter on its way. ``content`` gives what follows the 354, or (True) the end of data alone."""

    id: str
    envelope: Envelope
    content: Callable[[bool], Iterator[bytes]]


@frozen
class Heard:
    """What a host said: the verdict for each recipient that was tried, and when it was ready for the letter, by the
    reactor's clock. ``reports``: it knows DSN, and tells the sender what the sender wants to hear."""

    answers: Mapping[int, Reply]
    ready: float
    reports: bool = False


class Courier:
    """Knows how to talk with one host, not which one to choose."""

    def __init__(
        self,
        reactor: Any,  # IReactorTCP, IReactorUNIX and IReactorTime: there is no type for "all of these"
        hostname: str,
        log: IEventLog,
        trust: Certificate | None,
        patience: Patience,
        policies: ITlsPolicies,
    ) -> None:
        self._reactor = reactor
        self._hostname = hostname
        self._log = log
        self._contexts = Contexts(trust, reactor.seconds)
        self._policies = policies
        self._patience = patience

    async def take(self, parcel: Parcel, hop: NextHop, host: Host) -> Heard | Reply:
        """A Reply when the host did not even hear of the letter, so that the next one may be tried."""
        login = self._login(hop, parcel.id)
        if isinstance(login, Reply):
            return login
        # RFC 8689 §5: a report goes its way as best it can.
        require_tls = parcel.envelope.require_tls and parcel.envelope.sender is not None
        policy = await self._policies.policy(hop, host, require_tls)
        if isinstance(policy, Reply):
            return policy
        manner = Manner(
            self._hostname, hop.lmtp, policy.level, login, is_loopback(host.address), require_tls, not hop.named
        )
        connection = await self._talk(parcel, manner, host, policy)
        if isinstance(connection, Connection) and connection.handshake_failed and manner.tls == OPPORTUNISTIC:
            self._log.warn(parcel.id, relay=label(host), note=f"once more without TLS: {connection.client.unfit}")
            connection = await self._talk(parcel, evolve(manner, tls="none"), host, policy)
        if isinstance(connection, Reply):
            return connection
        if connection.client.unfit is not None:
            return connection.client.unfit
        client = connection.client
        return Heard(client.answers, connection.ready or self._reactor.seconds(), client.next_hop_reports)

    async def _talk(self, parcel: Parcel, manner: Manner, host: Host, policy: Policy) -> Connection | Reply:
        """One connection, to the end of what it is for."""
        handshake = Handshake(self._contexts, policy, host.name)
        connection = Connection(
            self._reactor,
            SmtpClient(manner, parcel.envelope, self._patience),
            parcel.content,
            handshake,
            SESSION + parcel.envelope.size / SLOWEST,
        )
        try:
            await connectProtocol(self._endpoint(host), connection)
            await connection.finished
        except (ConnectError, OSError) as error:
            return Reply(451, "4.4.1", f"Cannot connect to {label(host)}: {' '.join(str(error).split())}")
        except CancelledError:
            # The server stops, and the letter's file is about to be closed.
            if connection.connected:
                connection.abort()
            raise
        if connection.tls is not None:
            established = f"{handshake.trust} TLS connection established to {label(host)}: {connection.tls}"
            self._log.event(parcel.id, what=established, policy=str(policy), certificate=handshake.complaint or None)
        return connection

    def _endpoint(self, host: Host) -> IStreamClientEndpoint:
        if host.address.startswith("/"):
            socket: IStreamClientEndpoint = UNIXClientEndpoint(self._reactor, host.address, CONNECT_TIMEOUT)
            return socket
        kind = TCP6ClientEndpoint if ":" in host.address else TCP4ClientEndpoint
        return kind(self._reactor, host.address, host.port, CONNECT_TIMEOUT)

    def _login(self, hop: NextHop, id: str) -> Login | Reply | None:
        """The password is read anew each time, so a new one works at once."""
        if not hop.username or hop.password_file is None:
            return None
        try:
            password = hop.password_file.read_text("utf-8").partition("\n")[0].rstrip("\r")
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is not UTF-8"
            self._log.warn(id, note=f"[smarthost] password_file {hop.password_file} cannot be read: {why}")
            return Reply(451, "4.3.5", f"The password for the smarthost cannot be read: {why}")
        return Login(hop.username, password)


def wire_pieces(file: BinaryIO, letter: Letter, empty: bool) -> Iterator[bytes]:
    """What follows the 354: the message, unless ``empty``, and the end of data."""
    encoder = DotEncoder()
    if not empty:
        yield encoder.encode(letter.opening)
        file.seek(letter.relay_offset)
        while block := file.read(BLOCK):
            yield encoder.encode(block)
    yield encoder.finish()


def label(host: Host) -> str:
    """The host as it stands in the log: ``relay=``."""
    return f"localhost[{host.address}]" if host.port == 0 else f"{host.name}[{host.address}]:{host.port}"
