"""A POP3 server on loopback to import from, for many connections, with TLS where it is given a certificate."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from types import TracebackType

from tests.admin.pop3_memory import MemoryServer

PIECE = 65_536


class Pop3Source:
    """``with Pop3Source(letters) as source: source.port``. ``tls``: for STLS, or from the first octet."""

    def __init__(
        self, letters: list[tuple[str, bytes]], tls: ssl.SSLContext | None = None, implicit: bool = False
    ) -> None:
        self.letters = letters
        self.heard: list[str] = []
        self._tls = tls
        self._implicit = implicit
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._accept)
        self._clients: list[threading.Thread] = []
        self.port: int = self._socket.getsockname()[1]

    def __enter__(self) -> Pop3Source:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for each in self._clients:
            each.join()
        self._socket.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                client.settimeout(30)
                self._clients.append(threading.Thread(target=self._serve, args=(client,)))
                self._clients[-1].start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self._tls and self._implicit:
                client = self._tls.wrap_socket(client, server_side=True)
            self._converse(client)
        client.close()

    def _converse(self, client: socket.socket) -> None:
        memory = MemoryServer(self.letters)
        memory.piece = PIECE
        if self._tls and not self._implicit:
            memory.capabilities = ("STLS", "UIDL", "PIPELINING")
        memory.connect()
        client.sendall(memory.recv(PIECE))
        while data := client.recv(PIECE):
            self.heard.extend(data.decode("utf-8", "replace").split("\r\n"))
            if self._tls and data.upper() == b"STLS\r\n":
                client.sendall(b"+OK\r\n")
                client = self._tls.wrap_socket(client, server_side=True)
                continue
            memory.sendall(data)
            with contextlib.suppress(TimeoutError):
                while said := memory.recv(PIECE):
                    client.sendall(said)
