"""Letters with a number and a checksum, and where each of them is found again."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable

from attrs import frozen

_SUBJECT = re.compile(rb"^Subject: letter (\w+) ([0-9a-f]{16})$", re.MULTILINE)


def letter(name: str, octets: int = 200) -> bytes:
    """With CRLF, to be sent as it is; its subject has the checksum of its body."""
    line = (name + " ") * 70
    body = f"I am {name}.\r\n.dots stay\r\n" + (line[:70] + "\r\n") * (octets // 72)
    return _signed(name, body.encode())


def _signed(name: str, body: bytes) -> bytes:
    return b"Subject: letter %s %s\r\n\r\n%s" % (name.encode(), _sum(body), body)


def _sum(body: bytes) -> bytes:
    return hashlib.sha256(body.replace(b"\r\n", b"\n")).hexdigest()[:16].encode()


def named(header: bytes) -> bytes:
    """The whole letter of which somebody shows us the header; "" if it is none of ours."""
    said = _SUBJECT.search(header)
    whole = letter(said[1].decode()) if said else b""
    return whole if said and said[0] in whole else b""


@frozen
class Found:
    """What letters came to, as Jepsen counts."""

    whole: Counter[str]  #: by name: how many copies, octet by octet as they were sent
    damaged: list[bytes]  #: the beginnings of those that nobody has sent so

    def lost(self, acknowledged: Iterable[str]) -> set[str]:
        return {name for name in acknowledged if not self.whole[name]}

    @property
    def twice(self) -> set[str]:
        return {name for name, count in self.whole.items() if count > 1}


def found(contents: Iterable[bytes]) -> Found:
    """``contents`` as stored or as relayed: with our fields in front, LF or CRLF."""
    whole, damaged = Counter[str](), list[bytes]()
    for content in contents:
        name = recognised(content)
        if name:
            whole[name] += 1
        else:
            damaged.append(content[:300])
    return Found(whole, damaged)


def recognised(content: bytes) -> str:
    """The name of a letter that is, as stored or as relayed, what was sent; "" if nobody has sent it so."""
    text = content.replace(b"\r\n", b"\n")
    header, _, body = text.partition(b"\n\n")
    said = _SUBJECT.search(header + b"\n")
    return said[1].decode() if said is not None and _sum(body) == said[2] else ""
