"""What a relay trick is: a script for a client, with places for the names of one site."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping

from attrs import frozen

from mailstack.config.settings import Settings
from mailstack.model.address import Address

FAR = "far.example"  # nobody's domain: RFC 2606 §3
SENDER = "sender.example"

HELLO = "EHLO client.{f}"
STRANGE = "MAIL FROM:<{s}@{f}>"
OURS = "MAIL FROM:<{v}@{d}>"
GOOD = "RCPT TO:<{v}@{d}>"
BAD = "RCPT TO:<{u}@{x}>"


@frozen
class Trick:
    """``script`` is what the client sends, each without the CRLF at its end; one with CRLF inside is sent as a burst.
    The answers to the last one tell whether the trick works, but for the first ``spare`` of them, which may be good."""

    group: str
    name: str
    script: tuple[str, ...]
    spare: int = 0
    content: bool = False  #: sends DATA and a message: in memory only
    smuggling: bool = False  #: brings one message; if there are two, it worked

    @property
    def needs_backup(self) -> bool:
        return any("{b}" in line for line in self.script)


def filled(line: str, places: Mapping[str, str]) -> bytes:
    """The octets for the wire, with CRLF. A surrogate in the table stands for a raw octet."""
    return line.format_map(places).encode("utf-8", "surrogateescape") + b"\r\n"


def places(settings: Settings, user: Address, ip: str) -> dict[str, str]:
    """What the letters in a script mean. ``user`` is one of ours, ``ip`` the address of the server."""
    domains = settings.relay.domains
    name = str(user)
    return {
        "s": "stranger",  # some sender
        "f": SENDER,  # and their domain
        "u": "target",  # a foreign user
        "x": FAR,  # a foreign domain
        "X": FAR.upper(),
        "v": name.rpartition("@")[0],  # a user of ours
        "d": user.domain,  # our domain
        "n": settings.server.hostname,  # our name
        "ip": ip,
        "b": domains[0] if domains else "",  # a domain that we are backup for
        "wrong": _base64("wrong"),
        "login": _base64(name),
        "plain": _base64(f"\0{name}\0wrong"),
        "vouched": _base64(f"{name}\0stranger\0wrong"),
    }


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode("ascii")
