"""A POP3 server behind the socket of a call, without a socket. What one test needs to be odd is overridden."""

from __future__ import annotations

from collections.abc import Sequence

PASSWORD = "secret"


def wire(content: bytes) -> bytes:
    """A letter with LF as RETR sends it, with its end."""
    lines = content.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return b"".join((b"." if line.startswith(b".") else b"") + line + b"\r\n" for line in lines) + b".\r\n"


class MemoryServer:
    """``letters``: unique-id and content each. ``hang_up_after``: octets that it says in all. It answers in pieces of
    ``piece`` octets."""

    capabilities: Sequence[str] = ("USER", "UIDL", "PIPELINING")
    greeting = b"+OK ready\r\n"

    def __init__(self, letters: Sequence[tuple[str, bytes]]) -> None:
        self.letters = list(letters)
        self.heard: list[str] = []
        self.piece = 97
        self.hang_up_after: int | None = None
        self.closed = False

    # ---- The socket

    def connect(self) -> MemoryServer:
        self._out = bytearray(self.greeting)
        self._in = b""
        self._said = 0
        self._open = True
        self.closed = False
        return self

    def sendall(self, data: bytes) -> None:
        *lines, self._in = (self._in + data).split(b"\r\n")
        for line in lines:
            self.heard.append(line.decode())
            verb, _, rest = line.decode().partition(" ")
            self._out += getattr(self, f"on_{verb.lower()}", self.unknown)(rest)

    def recv(self, most: int) -> bytes:
        left = self.piece if self.hang_up_after is None else self.hang_up_after - self._said
        data = bytes(self._out[: min(left, self.piece, most)])
        del self._out[: len(data)]
        self._said += len(data)
        if not data and self._open and self.hang_up_after is None:
            raise TimeoutError
        return data

    def close(self) -> None:
        self.closed = True

    # ---- The commands

    def unknown(self, rest: str) -> bytes:
        return b"-ERR what?\r\n"

    def on_capa(self, rest: str) -> bytes:
        return b"".join(f"{line}\r\n".encode() for line in ("+OK", *self.capabilities, "."))

    def on_user(self, rest: str) -> bytes:
        return b"+OK\r\n"

    def on_pass(self, rest: str) -> bytes:
        return b"+OK\r\n" if rest == PASSWORD else b"-ERR [AUTH] no\r\n"

    def on_list(self, rest: str) -> bytes:
        sizes = [len(content.replace(b"\n", b"\r\n")) for _, content in self.letters]
        return self.table([f"{size}" for size in sizes])

    def on_uidl(self, rest: str) -> bytes:
        return self.table([uid for uid, _ in self.letters])

    def on_retr(self, rest: str) -> bytes:
        return b"+OK\r\n" + wire(self.letters[int(rest) - 1][1])

    def on_quit(self, rest: str) -> bytes:
        self._open = False
        return b"+OK bye\r\n"

    def table(self, column: Sequence[str]) -> bytes:
        rows = [f"{number} {cell}".encode("latin-1") for number, cell in enumerate(column, 1)]
        return b"".join(line + b"\r\n" for line in (b"+OK", *rows, b"."))

    def said(self, verb: str) -> list[str]:
        return [line for line in self.heard if line.split(" ")[0] == verb]
