"""Makes what a hostile server says: mostly what is asked for, and then wrong in as many ways as there are."""

from __future__ import annotations

from random import Random

#: What a sane server says to a command; "" is the greeting, "." the end of data.
SANE = {
    "": ("220 fake",),
    "EHLO": (
        "250-fake\r\n250-PIPELINING\r\n250 HELP",
        "250 fake",
        "250-fake\r\n250-SIZE 100000\r\n250 LIMITS RCPTMAX=1",
    ),
    "LHLO": ("250-fake\r\n250 PIPELINING", "250 fake"),
    "HELO": ("250 fake",),
    "STARTTLS": ("220 go",),
    "AUTH": ("235 welcome", "334 VXNlcm5hbWU6"),
    "MAIL": ("250 2.1.0 ok",),
    "RCPT": ("250 2.1.5 ok", "250 ok", "251 elsewhere"),
    "DATA": ("354 go",),
    ".": ("250 2.0.0 taken as 1", "250 ok"),
    "RSET": ("250 ok",),
    "QUIT": ("221 bye",),
}
EXTENSIONS = (
    "STARTTLS",
    "PIPELINING",
    "SIZE",
    "SIZE 0",
    "SIZE 10",
    "SIZE 99999999999999999999",
    "SIZE -1",
    "8BITMIME",
    "SMTPUTF8",
    "DSN",
    "REQUIRETLS",
    "AUTH PLAIN LOGIN",
    "AUTH=PLAIN",
    "LIMITS RCPTMAX=1 MAILMAX=1",
    "LIMITS RCPTMAX=0",
    "LIMITS RCPTDOMAINMAX=1",
    "LIMITS MAILMAX=99999999999",
    "X" * 500,
    "\x1b[31m",
    "=",
    "",
)
CODES = (0, 100, 200, 211, 220, 221, 235, 250, 251, 299, 334, 354, 399, 421, 450, 451, 452, 499, 500, 502, 503, 530)
CODES += (550, 552, 553, 554, 599, 600, 999)
STATUSES = ("", "2.0.0 ", "2.1.5 ", "4.2.2 ", "5.1.1 ", "5.7.1", "9.9.9 ", "5.99999.1 ", "5.1.1.1 ", "-1.0.0 ")
TEXTS = (
    b"ok",
    b"",
    b"no such user <alice@office.test>",
    b"\0\0\0",
    b"\x1b[2J\x1b]0;x\x07",
    "用户不存在".encode(),
    "用户不存在".encode("gbk"),
    "\u202e\u2066".encode(),
    b"\xff\xfe",
    b"a\rb",
    b"x" * 600,
    b"x" * 5_000,
    b"%s{0}%n",
    b"\t",
)
ENDS = (b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\r\r\n", b"\0\r\n", b"")


def reply(chance: Random, verb: str, evil: float) -> list[bytes]:
    """The answer to a command, in pieces as they come; ``evil`` is how often it is not the right one. Several replies
    come in one piece: who hears the first one could not know that it is an early one else."""
    if chance.random() > evil:
        sane = _hello(chance) if verb in ("EHLO", "LHLO") and chance.random() < 0.6 else chance.choice(_sane(verb))
        return _pieces(f"{sane}\r\n".encode(), chance)
    kinds = chance.choices((_line, _several, _noise, _early), (6, 3, 1, 1), k=chance.choice((0, 1, 1, 1, 1, 1, 2, 5)))
    octets = b"".join(kind(chance) for kind in kinds)
    return _pieces(octets, chance) if kinds in ([_line], [_several]) else [octets]


def _sane(verb: str) -> tuple[str, ...]:
    return SANE.get(verb, ("334 UGFzc3dvcmQ6", "235 welcome"))


def _hello(chance: Random) -> str:
    names = ["fake", *chance.sample(EXTENSIONS, chance.randrange(8))]
    return "\r\n".join([*(f"250-{name}" for name in names), f"250 {chance.choice(EXTENSIONS)}"])


def _line(chance: Random) -> bytes:
    code = f"{chance.choice(CODES):03}"
    separator = chance.choice((" ", " ", " ", "", "-", "  ", "\t"))
    return f"{code}{separator}{chance.choice(STATUSES)}".encode() + chance.choice(TEXTS) + chance.choice(ENDS)


def _several(chance: Random) -> bytes:
    code = b"%03d" % chance.choice(CODES)
    lines = [code + b"-" + chance.choice(TEXTS) for _ in range(chance.choice((1, 2, 5, 150, 300)))]
    last = code if chance.random() < 0.8 else b"%03d" % chance.choice(CODES)
    return b"\r\n".join([*lines, last + b" " + chance.choice(TEXTS)]) + chance.choice(ENDS)


def _noise(chance: Random) -> bytes:
    return chance.randbytes(chance.randrange(200))


def _early(chance: Random) -> bytes:
    """All the rest at once."""
    return b"250 ok\r\n250 ok\r\n354 go\r\n250 2.0.0 taken\r\n"


def _pieces(octets: bytes, chance: Random) -> list[bytes]:
    """As they come from the network."""
    if chance.random() < 0.05 and len(octets) < 500:
        return [octets[place : place + 1] for place in range(len(octets))]
    cuts = sorted(chance.randrange(len(octets) + 1) for _ in range(chance.choice((0, 0, 0, 1, 3))))
    return [octets[start:end] for start, end in zip([0, *cuts], [*cuts, len(octets)], strict=True)]
