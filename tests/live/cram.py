"""A proxy that logs in for a client which knows CRAM-MD5 alone: fetchmail, when it fetches by ODMR."""

from __future__ import annotations

import socket
import socketserver
import threading
from base64 import b64encode

from tests.live.ports import free_ports
from tests.live.wire import DOMAIN, PASSWORD, TIMEOUT

CHALLENGE = b64encode(b"<1.2@cram.test>")


class CramProxy:
    """``with CramProxy(port, user) as proxy: proxy.port``. Whatever the client answers, ``user`` is logged in."""

    def __init__(self, port: int, user: str) -> None:
        self.port = free_ports(1)[0]
        self._server = _Server(("127.0.0.1", self.port), _Session)
        self._server.upstream = port
        self._server.credentials = b64encode(f"\0{user}@{DOMAIN}\0{PASSWORD}".encode())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> CramProxy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    upstream: int
    credentials: bytes


class _Session(socketserver.StreamRequestHandler):
    server: _Server
    timeout = TIMEOUT

    def handle(self) -> None:
        with socket.create_connection(("127.0.0.1", self.server.upstream), TIMEOUT) as upstream:
            back = threading.Thread(target=self._back, args=(upstream,), daemon=True)
            back.start()
            for line in self.rfile:
                if line.upper().startswith(b"AUTH CRAM-MD5"):
                    self.wfile.write(b"334 " + CHALLENGE + b"\r\n")
                    self.rfile.readline()
                    line = b"AUTH PLAIN " + self.server.credentials + b"\r\n"
                upstream.sendall(line)
            upstream.shutdown(socket.SHUT_WR)
            back.join(TIMEOUT)

    def _back(self, upstream: socket.socket) -> None:
        while octets := upstream.recv(65536):
            self.wfile.write(octets)
        self.connection.shutdown(socket.SHUT_RDWR)
