"""A certificate and its key: two files that are read again when they change, and whose last good version stays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from OpenSSL import SSL

from mailstack.interfaces.log import IEventLog
from mailstack.server.certificate_names import names

WRITING = 2.0  # seconds after a change in which more of it may follow
PATIENCE = 10.0  # seconds for whoever renews a certificate to write the key too

#: When a file was changed, its size, its inode; None: it is not there.
Signature = tuple[int, int, int] | None


class Pair:
    """``context`` and ``names`` are of the version that was read last; None and empty before :meth:`load`."""

    def __init__(
        self,
        certificate: Path,
        key: Path,
        choose: Callable[[SSL.Connection], None],
        log: IEventLog,
        now: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        """``choose`` is called in each handshake, and may put another context in the place of this one."""
        self._certificate = certificate
        self._key = key
        self._choose = choose
        self._log = log
        self._now = now
        self._wall = wall
        self.context: SSL.Context | None = None
        self.names: frozenset[str] = frozenset()
        self._loaded: list[Signature] = []
        self._unsettled: list[Signature] = []
        self._failing: float | None = None  # since when
        self._complained = False

    def load(self) -> None:
        """Read both files. OSError: unreadable. ValueError: not a certificate and its key. After an error the former
        version stays in use, and nothing more is said until it works again: the caller says it."""
        # Looked at before reading: a change in between is seen the next time.
        current = self._signatures()
        self._complained = True
        self._take(current)

    def look(self) -> bool:
        """Read the files if they have changed; whether there is a new version."""
        current = self._signatures()
        if current == self._loaded:
            self._failing, self._complained = None, False
            return False
        if self._being_written(current):
            return False
        try:
            self._take(current)
        except (OSError, ValueError) as error:
            self._complain(error)
            return False
        self._log.event("tls", what=f"{self._certificate} has changed and was read again")
        return True

    def warn_if_unreadable(self) -> None:
        """Say once that no change will be seen, if whoever we are now can't read the files."""
        for path in dict.fromkeys((self._certificate, self._key)):
            if not _readable(path):
                self._complained = True
                then = "when it is renewed the server must be restarted; see Certificate in the README"
                self._log.warn("tls", what=f"{path} was read as root, but the server's user cannot read it: {then}")

    def _take(self, signatures: list[Signature]) -> None:
        self.context, self.names = _context(self._certificate, self._key, self._choose)
        self._loaded, self._failing, self._complained = signatures, None, False

    def _signatures(self) -> list[Signature]:
        return [_signature(path) for path in (self._certificate, self._key)]

    def _being_written(self, current: list[Signature]) -> bool:
        """More may follow what has changed just now: wait until two looks are the same."""
        times = [each[0] / 1e9 for each, old in zip(current, self._loaded, strict=True) if each and each != old]
        young = any(self._wall() - changed < WRITING for changed in times)
        settled, self._unsettled = current == self._unsettled, current
        return young and not settled

    def _complain(self, error: OSError | ValueError) -> None:
        """Once, until it works again, and not of a new certificate whose key is on its way. Every look tries anew."""
        now = self._now()
        if self._failing is None:
            self._failing = now
        if not self._complained and now - self._failing >= PATIENCE:
            self._complained = True
            self._log.warn("tls", what=f"the former certificate stays in use: {error}")


def _signature(path: Path) -> Signature:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _readable(path: Path) -> bool:
    try:
        path.open("rb").close()
    except OSError:
        return False
    return True


def _context(
    certificate: Path, key: Path, choose: Callable[[SSL.Connection], None]
) -> tuple[SSL.Context, frozenset[str]]:
    """TLS 1.2 and newer (RFC 8996), and the names that the certificate is for."""
    # Neither is opened by OpenSSL first: its error would not say which file, nor why; and it would ask for the
    # passphrase of a key on the terminal, while the whole server waits.
    chain, secret = certificate.read_bytes(), key.read_bytes()
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_CIPHER_SERVER_PREFERENCE | SSL.OP_NO_RENEGOTIATION)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_tlsext_servername_callback(choose)
    try:
        found = names(x509.load_pem_x509_certificate(chain))
        context.use_certificate_chain_file(str(certificate))
        # A key of a kind that is no use here is a TypeError.
        context.use_privatekey(serialization.load_pem_private_key(secret, None))  # type: ignore[arg-type]
        context.check_privatekey()
    except (SSL.Error, ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion):
        wrong = "are not a PEM certificate and its key without a passphrase"
        raise ValueError(f"{certificate} and {key} {wrong}") from None
    return context, found
