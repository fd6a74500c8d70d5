"""A small DNS server on loopback, UDP and TCP on one port, for tests.

::

    with DnsServer({("example.test", "MX"): ["10 mx.example.test."]}) as server:
        server.port
"""

from __future__ import annotations

import socket
import socketserver
import struct
from collections.abc import Collection, Mapping, Sequence
from threading import Thread
from types import TracebackType
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

TTL = 60
MAX_CHAIN = 20


class DnsServer:
    """``zone`` maps (name, type) to records as text, and may be changed while it runs. A name in ``broken`` gets
    SERVFAIL, one in ``mute`` no answer, one in ``big`` only over TCP. ``queries`` notes (name, type, transport)."""

    def __init__(
        self,
        zone: Mapping[tuple[str, str], Sequence[str]],
        broken: Collection[str] = (),
        mute: Collection[str] = (),
        big: Collection[str] = (),
    ) -> None:
        self.zone = dict(zone)
        self.broken, self.mute, self.big = set(broken), set(mute), set(big)
        self.queries: list[tuple[str, str, str]] = []
        self._servers = _bound(self)
        self.port: int = self._servers[0].server_address[1]

    def __enter__(self) -> DnsServer:
        self._threads = [Thread(target=server.serve_forever, args=(0.05,)) for server in self._servers]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()
        for thread in self._threads:
            thread.join()

    def answer(self, wire: bytes, transport: str) -> bytes | None:
        query = dns.message.from_wire(wire)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        self.queries.append((name, kind, transport))
        if name in self.mute:
            return None
        response = dns.message.make_response(query, recursion_available=True)
        if name in self.big and transport == "udp":
            response.flags |= dns.flags.TC
        elif name in self.broken:
            response.set_rcode(dns.rcode.SERVFAIL)
        else:
            self._fill(response, name, kind)
        return response.to_wire()

    def _fill(self, response: dns.message.Message, name: str, kind: str) -> None:
        """The records, with the aliases that lead to them, as a resolver gives them."""
        for _ in range(MAX_CHAIN):
            alias = self.zone.get((name, "CNAME"))
            if alias is None or kind == "CNAME":
                break
            response.answer.append(dns.rrset.from_text(f"{name}.", TTL, "IN", "CNAME", *alias))
            name = alias[0].rstrip(".")
        records = self.zone.get((name, kind))
        if records:
            response.answer.append(dns.rrset.from_text(f"{name}.", TTL, "IN", kind, *records))
        elif not any(owner == name for owner, _ in self.zone):
            response.set_rcode(dns.rcode.NXDOMAIN)


class _Udp(socketserver.BaseRequestHandler):
    server: Any

    def handle(self) -> None:
        data, sock = self.request
        answer = self.server.dns.answer(data, "udp")
        if answer is not None:
            sock.sendto(answer, self.client_address)


class _Tcp(socketserver.StreamRequestHandler):
    server: Any

    def handle(self) -> None:
        head = self.rfile.read(2)
        if len(head) < 2:
            return
        answer = self.server.dns.answer(self.rfile.read(struct.unpack("!H", head)[0]), "tcp")
        if answer is not None:
            self.wfile.write(struct.pack("!H", len(answer)) + answer)


def _bound(dns_server: DnsServer) -> list[Any]:
    """Both transports on the same free port."""
    for _ in range(20):
        tcp: Any = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Tcp)
        try:
            udp: Any = socketserver.ThreadingUDPServer(tcp.server_address, _Udp)
        except OSError:
            tcp.server_close()
            continue
        for server in (udp, tcp):
            server.dns = dns_server
            server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return [udp, tcp]
    raise OSError("no port is free for both UDP and TCP")
