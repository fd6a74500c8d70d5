"""A connection to one host that is ready for letters: the call, TLS, the password."""

from __future__ import annotations

from typing import Any

from attrs import evolve, frozen
from twisted.internet.defer import CancelledError
from twisted.internet.endpoints import (
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
    UNIXClientEndpoint,
    connectProtocol,
)
from twisted.internet.error import ConnectError, ConnectingCancelledError
from twisted.internet.interfaces import IStreamClientEndpoint

from mailstack.delivery.connection import Connection
from mailstack.delivery.ip import is_loopback
from mailstack.delivery.pool import Way
from mailstack.delivery.tls import Contexts, Handshake
from mailstack.eager import Burst
from mailstack.interfaces.delivery import OPPORTUNISTIC, Host, ITlsPolicies, Policy
from mailstack.interfaces.log import IEventLog
from mailstack.model.reply import Reply
from mailstack.protocol.smtp_client import SmtpClient
from mailstack.protocol.smtp_dialogue import Patience
from mailstack.protocol.smtp_opening import Manner

CONNECT_TIMEOUT = 30.0  #: seconds, as Postfix's smtp_connect_timeout
OPENING = 3_600.0  #: seconds until a host must be ready, however it spends them


@frozen
class Courier:
    """Knows how to talk with one host, not which one to choose."""

    reactor: Any  # IReactorTCP, IReactorUNIX and IReactorTime: there is no type for "all of these"
    hostname: str
    log: IEventLog
    contexts: Contexts
    patience: Patience
    policies: ITlsPolicies
    burst: Burst | None = None

    async def call(self, id: str, way: Way, host: Host) -> Connection | Reply:
        """One that is usable; a Reply when this host is of no use. ``id`` is for the log: for which letter it is."""
        policy = await self.policies.policy(way.hop, host, way.require_tls)
        if isinstance(policy, Reply):
            return policy
        manner = self._manner(way, host, policy)
        connection = await self._open(id, manner, host, policy)
        if isinstance(connection, Connection) and connection.handshake_failed and manner.tls == OPPORTUNISTIC:
            self.log.warn(id, relay=label(host), note=f"once more without TLS: {connection.client.unfit}")
            connection = await self._open(id, evolve(manner, tls="none"), host, policy)
        if isinstance(connection, Reply) or connection.client.unfit is None:
            return connection
        return connection.client.unfit

    def _manner(self, way: Way, host: Host, policy: Policy) -> Manner:
        hop = way.hop
        trusted = is_loopback(host.address)
        return Manner(self.hostname, hop.lmtp, policy.level, way.login, trusted, way.require_tls, not hop.named)

    async def _open(self, id: str, manner: Manner, host: Host, policy: Policy) -> Connection | Reply:
        """One that is usable, or says why it is not."""
        handshake = Handshake(self.contexts, policy, host.name)
        client = SmtpClient(manner, self.patience)
        connection = Connection(self.reactor, client, handshake, OPENING, label(host), self.burst)
        try:
            await connectProtocol(self._endpoint(host), connection)
            await connection.settled()
        except (ConnectError, OSError) as error:
            return Reply(451, "4.4.1", f"Cannot connect to {label(host)}: {' '.join(str(error).split())}")
        except ConnectingCancelledError as error:
            # Endpoints have an error of their own for it.
            raise CancelledError from error
        except CancelledError:
            if connection.connected:
                connection.abort()
            raise
        if connection.tls is not None:
            established = f"{handshake.trust} TLS connection established to {label(host)}: {connection.tls}"
            self.log.event(id, what=established, policy=str(policy), certificate=handshake.complaint or None)
        return connection

    def _endpoint(self, host: Host) -> IStreamClientEndpoint:
        if host.address.startswith("/"):
            socket: IStreamClientEndpoint = UNIXClientEndpoint(self.reactor, host.address, CONNECT_TIMEOUT)
            return socket
        kind = TCP6ClientEndpoint if ":" in host.address else TCP4ClientEndpoint
        return kind(self.reactor, host.address, host.port, CONNECT_TIMEOUT)


def label(host: Host) -> str:
    """The host as it stands in the log: ``relay=``."""
    return f"localhost[{host.address}]" if host.port == 0 else f"{host.name}[{host.address}]:{host.port}"
