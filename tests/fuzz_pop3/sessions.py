"""Makes what a hostile POP3 client sends: sessions that begin sensibly, and then go wrong in as many ways as there
are."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from random import Random

from mailstack.protocol.pop3_commands import STRANGERS, VERBS
from mailstack.protocol.sasl import MECHANISMS
from tests.fuzz.sessions import mutated

NUMBERS = ("1", "2", "3", "4", "0", "-1", "+1", "01", "1.0", "1e9", "9" * 30, "9" * 250, "", " 1", "1 ", "\u00b2", "x")
ARGUMENTS = (
    "alice",
    "bob@office.test",
    "nobody",
    "sesame",
    "zh",
    "en-GB",
    "*",
    "-",
    "x" * 249,
    "x" * 600,
    "\xff",
    "\0",
)
ODDITIES = (
    b"\0",
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n.\r\n",
    b"\xff",
    b"\x16\x03\x01",
    b"GET / HTTP/1.1\r\nHost: office.test\r\n\r\n",
    b"+OK\r\n",
    b"A" * 3_000,
    b"\r\n" * 30,
    b" \t",
    "\N{RIGHT-TO-LEFT OVERRIDE}\N{SNOWMAN}".encode(),
)

Part = Callable[[Random], bytes]


def session(chance: Random) -> bytes:
    """All octets of one client."""
    parts, weights = zip(*PARTS, strict=True)
    octets = b"".join(part(chance) for part in chance.choices(parts, weights, k=chance.randrange(1, 14)))
    if chance.random() < 0.6:
        octets = b"USER alice\r\nPASS sesame\r\n" + octets
    return mutated(octets, chance) if chance.random() < 0.5 else octets


def _command(chance: Random) -> bytes:
    verb = chance.choice([*VERBS, *STRANGERS]).decode()
    if verb == "QUIT" and chance.random() < 0.5:
        verb = "noop"
    blank = chance.choice((" ", " ", " ", "", "\t", "  "))
    return f"{verb}{blank}{chance.choice((*ARGUMENTS, *NUMBERS))}\r\n".encode("utf-8", "replace")


def _numbers(chance: Random) -> bytes:
    verb = chance.choice(("LIST", "UIDL", "RETR", "TOP", "DELE"))
    numbers = " ".join(chance.choice(NUMBERS) for _ in range(2 if verb == "TOP" else 1))
    return f"{verb} {numbers}\r\n".encode()


def _plain(chance: Random) -> bytes:
    """What a well-made client says."""
    return chance.choice((b"STAT\r\n", b"LIST\r\n", b"UIDL\r\n", b"RSET\r\n", b"NOOP\r\n", b"CAPA\r\n", b"AUTH\r\n"))


def _settle(chance: Random) -> bytes:
    return chance.choice((b"UTF8\r\n", b"LANG\r\n", b"LANG zh\r\n", b"LANG en\r\n", b"STLS\r\n", b"STLS\r\nCAPA\r\n"))


def _log_in(chance: Random) -> bytes:
    claim = chance.choice((b"\0alice\0sesame", b"\0alice\0wrong", b"bob\0alice\0sesame", b"n,,n=alice,r=abc", b""))
    mechanism = chance.choice((*sorted(MECHANISMS), "CRAM-MD5"))
    answer = chance.choice((b64encode(claim), b"*", b"=", b"no base64!", b"QQ==" * 4_000, b""))
    after = chance.choice((b"", b"\r\nYWxpY2U=\r\nc2VzYW1l", b"\r\n*", b"\r\nYz1iaXdzLHI9YWJj", b"\r\n="))
    return b"AUTH %s %s%s\r\n" % (mechanism.encode(), answer, after)


def _leave(_: Random) -> bytes:
    return b"QUIT\r\nDELE 1\r\n"


def _oddity(chance: Random) -> bytes:
    return chance.choice(ODDITIES)


def _noise(chance: Random) -> bytes:
    return chance.randbytes(chance.randrange(200))


PARTS: tuple[tuple[Part, int], ...] = (
    (_command, 4),
    (_numbers, 5),
    (_plain, 3),
    (_settle, 2),
    (_log_in, 2),
    (_leave, 1),
    (_oddity, 1),
    (_noise, 1),
)
