"""Our certificates, for every listener: a client that names a host (SNI, RFC 6066 §3) gets the one that is for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from mailstack.interfaces.log import IEventLog
from mailstack.server.certificate_names import forms
from mailstack.server.pair import Pair
from mailstack.versions import PAUSE


@implementer(IOpenSSLServerConnectionCreator)
class Certificates:
    """The pairs as they were read last. Blocks for a stat of each file once a second at most, and for reading when one
    has changed."""

    def __init__(
        self,
        pairs: Sequence[tuple[Path, Path]],
        log: IEventLog,
        now: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        """Each is a certificate and its key; the first is for clients that name no host, or one that none is for.
        ``now`` in seconds; ``wall`` is Unix time, as files have it."""
        self._pairs = [Pair(certificate, key, self._choose, log, now, wall) for certificate, key in pairs]
        self._now = now
        self._looked = now()
        self._contexts: dict[str, SSL.Context] = {}

    def load(self) -> None:
        """Read all files now; new connections use them. ValueError: some are unreadable, or not a certificate and its
        key; their former version stays in use."""
        failed = []
        for pair in self._pairs:
            try:
                pair.load()
            except (OSError, ValueError) as error:
                failed.append(str(error))
        self._index()
        if failed:
            raise ValueError("; ".join(failed))

    def warn_if_unreadable(self) -> None:
        """To be called when root's rights were given up."""
        for pair in self._pairs:
            pair.warn_if_unreadable()

    def serverConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        now = self._now()
        if not 0 <= now - self._looked < PAUSE:
            self._looked = now
            if sum(pair.look() for pair in self._pairs):
                self._index()
        context = self._pairs[0].context
        assert context is not None, "load() comes before the first connection"
        return SSL.Connection(context, None)

    def _index(self) -> None:
        contexts: dict[str, SSL.Context] = {}
        for pair in self._pairs:
            if pair.context is not None:
                contexts |= {name: pair.context for name in pair.names if name not in contexts}
        self._contexts = contexts

    def _choose(self, connection: SSL.Connection) -> None:
        """In the middle of the handshake. It must not raise: OpenSSL would not know what to do."""
        host = connection.get_servername() or b""
        for name in forms(host.decode("ascii", "replace")):
            if name in self._contexts:
                connection.set_context(self._contexts[name])
                return
