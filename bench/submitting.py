"""Users who send mail with TLS and a password, on the loopback, the same for every server.

    python bench/submitting.py PORT TO SESSIONS MESSAGES [USER …]

So many processes, one session after the other in each: connect, EHLO, STARTTLS, a full handshake, EHLO, AUTH PLAIN,
MAIL, RCPT, DATA, one letter of 4 KiB, QUIT. A process for each session has no interpreter to share, and nothing to do
but to wait for the server. It says ``ready`` when all are there, begins with the next line of its standard input, and
prints the seconds of processor that the clients have taken, as JSON.
"""

from __future__ import annotations

import base64
import datetime
import json
import os
import pathlib
import resource
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from load import LoadFailed

PASSWORD = "pw"
LETTER = b"Subject: x\r\n\r\n" + (b"X" * 78 + b"\r\n") * 51 + b".\r\n"
HOST = "mail.example.org"


@frozen
class Submitted:
    """What came of one measurement."""

    seconds: float  #: until the last letter was where it belongs
    client: float  #: seconds of processor that the clients took
    messages: int

    @property
    def ceiling(self) -> float:
        """Letters a second that the clients could send, if the server took nothing of this machine."""
        return (os.cpu_count() or 1) * self.messages / self.client


def certificate(folder: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """A self-signed pair (ECDSA, P-256) for all servers: the certificate, and the key with the certificate behind it,
    as Postfix wants them."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    public = made.public_bytes(serialization.Encoding.PEM)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    chain, pair = folder / "cert.pem", folder / "pair.pem"
    chain.write_bytes(public)
    pair.touch(mode=0o600)
    pair.write_bytes(key.private_bytes(*form) + public)
    return chain, pair


class Submitter:
    """One user's mail program: a blocking connection for each letter."""

    def __init__(self, port: int, user: str, to: str) -> None:
        self._port = port
        sender = f"{user}@example.org"
        credentials = base64.b64encode(f"\0{sender}\0{PASSWORD}".encode())
        self._login = (b"EHLO laptop.example", b"AUTH PLAIN " + credentials)
        self._envelope = (f"MAIL FROM:<{sender}>".encode(), f"RCPT TO:<{to}>".encode(), b"DATA")
        # Who checks the certificate takes time for it from the server, and its figures would be no others.
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE

    def send(self) -> str:
        """Returns how the session was secured."""
        with socket.create_connection(("127.0.0.1", self._port), 60) as plain:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _answer(plain)
            _ask(plain, b"EHLO laptop.example")
            _ask(plain, b"STARTTLS")
            with self._context.wrap_socket(plain) as secure:
                for line in (*self._login, *self._envelope):
                    _ask(secure, line)
                secure.sendall(LETTER)
                _answer(secure)
                _ask(secure, b"QUIT")
                cipher = secure.cipher()
                assert cipher is not None
                return f"{cipher[1]}, {cipher[0]}"


def _ask(sock: socket.socket, line: bytes) -> None:
    sock.sendall(line + b"\r\n")
    _answer(sock)


def _answer(sock: socket.socket) -> None:
    """A whole reply, of one or more lines, that says yes."""
    got = b""
    while True:
        more = sock.recv(65536)
        got += more
        last = got[:-2].rpartition(b"\r\n")[2]
        if not more or got[:1] not in (b"2", b"3"):
            raise LoadFailed(f"refused: {got[:200]!r}")
        if got.endswith(b"\r\n") and last[3:4] == b" ":
            return


# ---- Many of them


def run(port: int, users: list[str], to: str, messages: int, arrived: Callable[[], float]) -> Submitted:
    """One session at a time for each user. ``arrived`` waits until all letters are where they belong, and says how many
    seconds after the call."""
    command = [sys.executable, __file__, str(port), to, str(len(users)), str(messages), *users]
    with subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as clients:
        assert clients.stdin and clients.stdout
        if clients.stdout.readline() != "ready\n":
            raise LoadFailed("the clients do not start")
        clients.stdin.write("go\n")
        clients.stdin.flush()
        seconds = arrived()
        said = clients.stdout.readline()
    if not said:
        raise LoadFailed("a client has failed, see above")
    return Submitted(seconds, json.loads(said), messages)


def main() -> None:
    port, to, sessions, messages, *users = sys.argv[1:]
    shares = [int(messages) // int(sessions) + (number < int(messages) % int(sessions)) for number in range(len(users))]
    gate, opened = os.pipe()
    started = []
    for user, share in zip(users, shares, strict=True):
        submitter = Submitter(int(port), user, to)
        pid = os.fork()
        if pid == 0:
            os.close(opened)
            os.read(gate, 1)  # returns when all ends that can be written are closed
            for _ in range(share):
                submitter.send()
            os._exit(0)
        started.append(pid)
    print("ready", flush=True)
    sys.stdin.readline()
    os.close(opened)
    failed = [status for pid in started if (status := os.waitpid(pid, 0)[1])]
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    if not failed:
        print(json.dumps(used.ru_utime + used.ru_stime), flush=True)


if __name__ == "__main__":
    main()
