"""A certificate and its key: two files that are read again when they change, and whose last good version stays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from OpenSSL import SSL

from mailstack.interfaces.log import IEventLog
from mailstack.server.certificate_files import Unusable, read
from mailstack.server.certificate_names import names
from mailstack.versions import Signatures, State, Versions, signatures

PATIENCE = 10.0  # seconds for whoever renews a certificate to write the key too
AGAIN = 24 * 60 * 60.0  # seconds until it is told again that a renewal is no good


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
        self.context: SSL.Context | None = None
        self.names: frozenset[str] = frozenset()
        self._versions = Versions(wall, together=True)
        self._failing: float | None = None  # since when
        self._told: float | None = None  # when last

    def load(self) -> None:
        """Read both files. OSError: unreadable. ValueError: not a certificate and its key. After an error the former
        version stays in use, and nothing more is said for a day: the caller says it."""
        # Looked at before reading: a change in between is seen the next time.
        found = self._look()
        self._told = self._now()
        self._take(found)

    def look(self) -> bool:
        """Read the files if they have changed; whether there is a new version."""
        found = self._look()
        state = self._versions.state(found)
        if state is State.IN_USE:
            self._failing, self._told = None, None
        if state is not State.NEW:
            return False
        try:
            self._take(found)
        except (OSError, ValueError) as error:
            self._complain(error)
            return False
        self._log.event("tls", what=f"{self._certificate} has changed and was read again")
        return True

    def warn_if_unreadable(self) -> None:
        """Say once that no change will be seen, if whoever we are now can't read the files."""
        for path in dict.fromkeys((self._certificate, self._key)):
            if not _readable(path):
                then = "when it is renewed the server must be restarted; see Certificate in the README"
                self._log.warn("tls", what=f"{path} was read as root, but the server's user cannot read it: {then}")

    def _look(self) -> Signatures:
        return signatures((self._certificate, self._key))

    def _take(self, found: Signatures) -> None:
        self.context, self.names = _context(self._certificate, self._key, self._choose)
        self._versions.use, self._failing, self._told = found, None, None

    def _complain(self, error: OSError | ValueError) -> None:
        """Once a day, until it works again, and not of a new certificate whose key is on its way. Every look tries
        anew."""
        now = self._now()
        if self._failing is None:
            self._failing = now
        if now - self._failing >= PATIENCE and (self._told is None or now - self._told >= AGAIN):
            self._told = now
            self._log.warn("tls", what=f"the former certificate stays in use: {error}")


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
    leaf, secret = read(certificate, key)
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_CIPHER_SERVER_PREFERENCE | SSL.OP_NO_RENEGOTIATION)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_tlsext_servername_callback(choose)
    try:
        context.use_certificate_chain_file(str(certificate))
        # A key of a kind that is no use here is a TypeError.
        context.use_privatekey(secret)  # type: ignore[arg-type]
        context.check_privatekey()
    except (SSL.Error, TypeError) as error:
        raise Unusable(f"{certificate} and {key} are no use for TLS: {_reason(error)}") from None
    return context, names(leaf)


def _reason(error: SSL.Error | TypeError) -> str:
    """In OpenSSL's words: its errors are a list of library, function and reason."""
    last = error.args[0] if error.args else ""
    return str(last[-1][-1] if last and isinstance(last, list) else last)
