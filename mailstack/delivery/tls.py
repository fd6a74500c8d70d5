"""TLS towards other servers: with a check of the certificate, or without."""

from __future__ import annotations

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import Certificate, CertificateOptions, optionsForClientTLS
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from mailstack.delivery.ip import is_address
from mailstack.protocol.smtp_opening import VERIFIED


@implementer(IOpenSSLClientConnectionCreator)
class _AnyCertificate:
    """Better than no encryption: an eavesdropper hears nothing, only an active attacker does (RFC 7435)."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._options = CertificateOptions(verify=False)

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        connection = SSL.Connection(self._options.getContext(), None)
        if not is_address(self._host):
            connection.set_tlsext_host_name(self._host.encode("ascii", "ignore"))
        return connection


def connection_creator(host: str, policy: str, trust: Certificate | None) -> IOpenSSLClientConnectionCreator:
    """``trust``: the authority to believe; None: those of the system."""
    if policy in VERIFIED:
        creator: IOpenSSLClientConnectionCreator = optionsForClientTLS(host, trustRoot=trust)
        return creator
    return _AnyCertificate(host)
