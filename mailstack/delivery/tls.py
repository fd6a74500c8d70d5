"""TLS towards other servers: as a policy wants it, and what the server's certificate came to."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from attrs import frozen
from OpenSSL import SSL, crypto
from service_identity import CertificateError, VerificationError
from service_identity.hazmat import DNS_ID, IPAddress_ID, verify_service_identity
from service_identity.pyopenssl import extract_patterns
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import Certificate
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from mailstack.delivery.ip import is_address
from mailstack.interfaces.delivery import Policy
from mailstack.protocol.smtp_opening import VERIFIED

RENEWED = 3_600.0  #: seconds after which the authorities of the system are read again

#: Whoever would else get the letter in clear text may have what is old and weak, as in Postfix (smtp_tls_protocols,
#: smtp_tls_security_level = may): also ciphers without a certificate, after all others.
ANY_CIPHERS = b"ALL:+aNULL:@SECLEVEL=0"

#: What OpenSSL's numbers mean, in its own words (X509_verify_cert_error_string).
PROBLEMS = {
    9: "certificate is not yet valid",
    10: "certificate has expired",
    18: "self-signed certificate",
    19: "self-signed certificate in certificate chain",
    20: "unable to get local issuer certificate",
    21: "unable to verify the first certificate",
    22: "certificate chain too long",
    23: "certificate revoked",
    24: "invalid CA certificate",
    26: "unsuitable certificate purpose",
}
#: RFC 6066 §3: a host name, no address, without a dot at its end.
_SERVER_NAME = re.compile(r"[A-Za-z0-9_.-]{1,254}[A-Za-z0-9_-]\Z")


class Contexts:
    """OpenSSL's part of all sessions: what takes its time to set up, once for many."""

    def __init__(self, trust: Certificate | None, seconds: Callable[[], float]) -> None:
        """``trust``: the authority to believe; None: those of the system."""
        self._trust = trust
        self._seconds = seconds
        self._made: dict[bool, tuple[float, SSL.Context]] = {}

    def of(self, verified: bool) -> SSL.Context:
        now = self._seconds()
        since, context = self._made.get(verified, (now - RENEWED, None))
        if context is None or now - since >= RENEWED:
            context = self._context(verified)
            self._made[verified] = now, context
        return context

    def _context(self, verified: bool) -> SSL.Context:
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION if verified else SSL.TLS1_VERSION)
        if not verified:
            context.set_cipher_list(ANY_CIPHERS)
        if self._trust is None:
            context.set_default_verify_paths()
        else:
            store = context.get_cert_store()
            assert store is not None, "a context always has one"
            store.add_cert(self._trust.original)
        return context


@implementer(IOpenSSLClientConnectionCreator)
class Handshake:
    """One handshake with a host, and what it showed of it. ``problem`` is the first thing that is wrong with the
    certificate."""

    def __init__(self, contexts: Contexts, policy: Policy, host: str) -> None:
        self._strict = policy.level in VERIFIED
        self._contexts = contexts
        self._names = policy.names
        self._host = host
        self._shown = False
        self._name_problem = ""
        self.problem = ""

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        connection = SSL.Connection(self._contexts.of(self._strict), None)
        connection.set_verify(SSL.VERIFY_PEER, self._look)
        if _SERVER_NAME.match(self._host) and not is_address(self._host):
            connection.set_tlsext_host_name(self._host.encode("ascii"))
        return connection

    def _look(self, _: SSL.Connection, certificate: crypto.X509, error: int, depth: int, good: int) -> bool:
        """OpenSSL shows one certificate of the chain: whether to go on. Never raises."""
        if not good:
            self.problem = self.problem or PROBLEMS.get(error, f"OpenSSL's error {error}")
        elif depth == 0:
            self._name_problem = _mismatch(certificate, self._names)
        self._shown = True
        return not self._strict or bool(good and not (depth == 0 and self._name_problem))

    @property
    def complaint(self) -> str:
        """Why the certificate is not believed; "" if it is."""
        return self.problem or self._name_problem

    @property
    def refusal(self) -> str:
        """Why we have ended the handshake; "" if we have not."""
        return self.complaint if self._strict else ""

    @property
    def trust(self) -> str:
        """In Postfix's words: Anonymous (no certificate), Untrusted (nobody we believe vouches for it), Trusted (for
        some name), Verified (for the right one)."""
        if not self._shown:
            return "Anonymous"
        if self.problem:
            return "Untrusted"
        return "Trusted" if self._name_problem else "Verified"


@frozen
class TlsDetails:
    """What a handshake came to."""

    version: str
    cipher: str
    bits: int = 0

    def __str__(self) -> str:
        """As Postfix has it in its log."""
        return f"{self.version} with cipher {self.cipher} ({self.bits}/{self.bits} bits)"


def _mismatch(certificate: crypto.X509, names: Sequence[str]) -> str:
    """Why a certificate is for none of these names; "": it is. RFC 9525."""
    try:
        patterns = extract_patterns(certificate)
        if any(_matches(patterns, name) for name in names):
            return ""
    except Exception as error:  # what a stranger's certificate holds, in any of two libraries' words
        return f"the certificate cannot be read: {type(error).__name__}"
    return f"the certificate is not for {' or '.join(names)}"


def _matches(patterns: Sequence[object], name: str) -> bool:
    try:
        wanted = IPAddress_ID(name) if is_address(name) else DNS_ID(name)
        verify_service_identity(patterns, [wanted], [])  # type: ignore[arg-type]
    except (CertificateError, VerificationError, ValueError):
        return False
    return True
