"""A server that does as it is told, on a free port of loopback: one script for each connection, in turn."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PATIENCE = 10.0  #: seconds


class Peer:
    """The server's end of one connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.sock.settimeout(PATIENCE)
        self._buffer = b""

    def say(self, *lines: str) -> None:
        self.sock.sendall("".join(f"{line}\r\n" for line in lines).encode("latin-1"))

    def hear(self, verb: str) -> str:
        """The next line, which must begin with ``verb``."""
        while b"\n" not in self._buffer:
            self._buffer += self._more()
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        assert line.startswith(verb.encode()), f"{line!r} instead of {verb}"
        return line.decode()

    def data(self) -> bytes:
        """All up to the end of data, as it came."""
        while not self._buffer.endswith(b"\r\n.\r\n") and self._buffer != b".\r\n":
            self._buffer += self._more()
        data, self._buffer = self._buffer, b""
        return data

    def _more(self) -> bytes:
        data = self.sock.recv(65536)
        assert data, "the client has hung up"
        return data

    def tls(self, context: ssl.SSLContext) -> None:
        self.sock = context.wrap_socket(self.sock, server_side=True)

    def reset(self) -> None:
        """Gone, without a farewell."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()

    def silence(self) -> None:
        """Whatever comes, until the client goes."""
        try:
            while self.sock.recv(65536):
                pass
        except OSError:
            pass


Script = Callable[[Peer], None]


class FakeServer:
    """``with FakeServer(script, …) as server: server.port``. A script that fails makes the test fail."""

    def __init__(self, *scripts: Script, family: socket.AddressFamily = socket.AF_INET) -> None:
        self._scripts = scripts
        self._socket = socket.socket(family)
        self._socket.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        self._socket.listen()
        self._socket.settimeout(PATIENCE)
        self._thread = threading.Thread(target=self._serve)
        self._stopping = False
        self._errors: list[BaseException] = []
        self.port: int = self._socket.getsockname()[1]
        self.connections = 0

    def __enter__(self) -> FakeServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()
        if self._errors and error is None:
            raise self._errors[0]

    def _serve(self) -> None:
        for script in self._scripts:
            try:
                sock, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            peer = Peer(sock)
            try:
                script(peer)
            except BaseException as error:
                self._errors.append(error)
            finally:
                peer.sock.close()


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, bytes]:
    """A self-signed one for a host name: the context for a server, and the PEM for who wants to trust it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "server.pem").write_bytes(pem + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return context, pem
