"""Makes what a hostile client sends: sessions that begin sensibly, and then go wrong in as many ways as there are."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from random import Random

from mailstack.protocol.sasl import MECHANISMS
from mailstack.protocol.smtp_commands import PARSERS

LOCAL = ("alice@office.test", "bob@office.test", "team@office.test", "nobody@office.test", "postmaster")
FOREIGN = (
    "victim@far.test",
    "victim%far.test@office.test",
    "far.test!victim@office.test",
    '"victim@far.test"@office.test',
    "@office.test:victim@far.test",
    "victim@far.test@office.test",
    "victim@[192.0.2.1]",
    "victim%far.test@backup.test",
    "victim@office.test.far.test",
    "alice@office.test> <victim@far.test",
    "alice@office.test\0@far.test",
    "\N{FULLWIDTH LATIN SMALL LETTER A}@far.test",
    "victim\N{FULLWIDTH COMMERCIAL AT}far.test@office.test",
    "alice@office.test\N{FULLWIDTH COMMERCIAL AT}far.test",
    "alice@office\N{IDEOGRAPHIC FULL STOP}test\N{IDEOGRAPHIC FULL STOP}far\N{IDEOGRAPHIC FULL STOP}test",
)
PARAMETERS = (
    "SIZE=100",
    "SIZE=99999999999999999999",
    "SIZE=-1",
    "BODY=8BITMIME",
    "BODY=BINARYMIME",
    "SMTPUTF8",
    "RET=FULL",
    "ENVID=a+2Bb",
    "NOTIFY=NEVER",
    "NOTIFY=SUCCESS,FAILURE",
    "ORCPT=rfc822;a@b.test",
    "ORCPT=utf-8;\N{SNOWMAN}\\x{2603}+2B@b.test",
    "ORCPT=utf-8;\\x{110000}",
    "AUTH=<>",
    "REQUIRETLS",
    "HOLDFOR=60",
    "HOLDFOR=0",
    "HOLDUNTIL=2026-12-01T08:00:00+23:59",
    "HOLDUNTIL=9999-12-31T23:59:60.999999999-23:59",
    "HOLDUNTIL=0001-01-01T00:00:00Z",
    "X=" + "y" * 300,
)
ENDS_OF_DATA = (
    b"\r\n.\r\n",
    b"\n.\n",
    b"\r.\r",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r\n.\r",
    b"\r.\r\n",
    b"\r\n.\r\r\n",
    b"\r\n\0.\r\n",
    b"\r\n..\r\n",
)
ODDITIES = (
    b"\0",
    b"\r",
    b"\n",
    b"\r\n",
    b"\xff",
    b"\x16\x03\x01",
    b"GET / HTTP/1.1\r\nHost: office.test\r\n\r\n",
    b"A" * 3_000,
    b" \t",
    b"\x80" * 20,
    "\N{RIGHT-TO-LEFT OVERRIDE}\N{SNOWMAN}".encode(),
)
ARGUMENTS = ("", "office.test", "alice", "<alice@office.test>", "@backup.test", "10", "10 LAST", "0 LAST", "x" * 600)

Part = Callable[[Random], bytes]


def session(chance: Random) -> bytes:
    """All octets of one client."""
    octets = b"".join(_part(chance)(chance) for _ in range(chance.randrange(1, 14)))
    if chance.random() < 0.3:
        octets = b"EHLO client.test\r\n" + octets
    return mutated(octets, chance) if chance.random() < 0.5 else octets


def _part(chance: Random) -> Part:
    return chance.choices(*zip(*PARTS, strict=True))[0]


def _hello(chance: Random) -> bytes:
    return chance.choice((b"EHLO client.test\r\n", b"HELO client.test\r\n", b"ehlo [192.0.2.7]\r\n", b"EHLO\r\n"))


def _envelope(chance: Random) -> bytes:
    sender = chance.choice(("", *LOCAL, *FOREIGN))
    lines = [f"MAIL FROM:<{sender}>{_parameters(chance)}"]
    lines += [_recipient(chance) for _ in range(chance.randrange(4))]
    return "".join(f"{line}\r\n" for line in lines).encode()


def _recipient(chance: Random) -> str:
    address = chance.choice(LOCAL if chance.random() < 0.5 else FOREIGN)
    return f"RCPT TO:<{address}>{_parameters(chance)}"


def _parameters(chance: Random) -> str:
    return "".join(f" {chance.choice(PARAMETERS)}" for _ in range(chance.choice((0, 0, 0, 1, 2))))


def _message(chance: Random) -> bytes:
    return b"DATA\r\n" + _text(chance) + chance.choice(ENDS_OF_DATA) + _envelope(chance)


def _text(chance: Random) -> bytes:
    lines = (b"Subject: x", b"Received: by a", b"Bcc: victim@far.test", b"", b".", b"..", b"a" * 1_200, b"\xe4\0")
    return b"\r\n".join(chance.choice(lines) for _ in range(chance.randrange(8)))


def _chunk(chance: Random) -> bytes:
    text = _text(chance)
    said = len(text) + chance.choice((0, 0, 0, 1, -1, 10))
    return b"BDAT %d%s\r\n%s" % (said, chance.choice((b"", b" LAST")), text)


def _command(chance: Random) -> bytes:
    verb = chance.choice(sorted(PARSERS))
    if verb == "QUIT" and chance.random() < 0.9:
        verb = "NOOP"
    blank = chance.choice((" ", " ", " ", "", "\t", "  "))
    return f"{verb}{blank}{chance.choice((*ARGUMENTS, *LOCAL, *FOREIGN))}\r\n".encode()


def _log_in(chance: Random) -> bytes:
    claim = chance.choice((b"\0alice\0sesame", b"\0alice\0wrong", b"victim\0alice\0sesame", b"n,,n=alice,r=abc", b""))
    mechanism = chance.choice((*sorted(MECHANISMS), "CRAM-MD5"))
    answer = chance.choice((b64encode(claim), b"*", b"=", b"no base64!", b"QQ==" * 4_000))
    after = chance.choice((b"", b"\r\nYWxpY2U=\r\nc2VzYW1l", b"\r\n*", b"\r\nYz1iaXdzLHI9YWJj"))
    return b"AUTH %s %s%s\r\n" % (mechanism.encode(), answer, after)


def _oddity(chance: Random) -> bytes:
    return chance.choice(ODDITIES)


def _noise(chance: Random) -> bytes:
    return chance.randbytes(chance.randrange(200))


PARTS: tuple[tuple[Part, int], ...] = (
    (_hello, 2),
    (_envelope, 4),
    (_message, 4),
    (_chunk, 2),
    (_command, 3),
    (_log_in, 2),
    (_oddity, 1),
    (_noise, 1),
)


def mutated(octets: bytes, chance: Random) -> bytes:
    """The same with a few octets changed, lost, doubled or moved."""
    data = bytearray(octets)
    for _ in range(chance.randrange(1, 6)):
        place = chance.randrange(len(data) + 1)
        end = place + chance.randrange(20)
        match chance.randrange(5):
            case 0:
                data[place:place] = chance.choice(ODDITIES)
            case 1:
                del data[place:end]
            case 2:
                data[place:place] = data[place:end]
            case 3 if place < len(data):
                data[place] ^= 1 << chance.randrange(8)
            case _:
                other = chance.randrange(len(data) + 1)
                data[other:other] = data[place:end]
    return bytes(data)


def pieces(octets: bytes, chance: Random) -> list[bytes]:
    """As they come from the network."""
    if chance.random() < 0.05:
        return [octets[place : place + 1] for place in range(len(octets))]
    cuts = sorted(chance.randrange(len(octets) + 1) for _ in range(chance.randrange(6)))
    return [octets[start:end] for start, end in zip([0, *cuts], [*cuts, len(octets)], strict=True)]
