"""The Sender Rewriting Scheme: a sender of somebody else's, written as an address of ours, so that a server to which we
forward sees one that we may use (SPF, RFC 7208), and what it returns comes back through us.

There is no RFC. The form is that of the scheme's authors (Meng Weng Wong, Shevek), which other forwarders know::

    SRS0 = "SRS0" sep hash "=" stamp "=" domain "=" local-part   ; forwarded by us first
    SRS1 = "SRS1" sep hash "=" forwarder "=" rest                ; by SRS0<rest>@forwarder before, and maybe by others
    sep  = "=" / "-" / "+"                                       ; we write "="

The stamp is the day, modulo 1024, as two digits of base32. Nobody but us needs to understand the hash. On the way case
may be lost, so none of it counts; base32 has none.
"""

from __future__ import annotations

import hmac
import re
from base64 import b32encode
from enum import Enum

from attrs import field, frozen

from mailstack.model.address import Address, address_domain, composed, folded

HASH_OCTETS = 5  #: 40 bits are 8 characters; other forwarders have 4, which many guessers could find
MAX_PATH = 256  #: octets with the brackets, RFC 5321 §4.5.3.1.3
DAY = 86_400  #: seconds
TURN = 1_024  #: days until a stamp comes again
MAX_AGE = TURN - 2  #: days; the last one of a turn is tomorrow

_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
#: ASCII, or the long s of old prints would be one, too.
_ANY_CASE = re.IGNORECASE | re.ASCII
_TAG = re.compile(r"SRS([01])[=+-]", _ANY_CASE)
_THIRD_HAND = re.compile(r"SRS1[=+-][^=]*=(?P<first>[^=]+)=(?P<rest>[=+-].*)", _ANY_CASE)


class Fault(Enum):
    """Why an address of this form leads nowhere."""

    FORGED = "forged"  #: we have not made it, or not with this key
    EXPIRED = "expired"


@frozen
class Srs:
    """``key`` is secret; ``max_age`` in days, up to MAX_AGE."""

    key: bytes = field(repr=False)
    max_age: int

    def outward(self, sender: Address, domain: str, when: float) -> Address | None:
        """The sender as an address in ``domain`` of ours, stamped with ``when``; None: it would be longer than a path
        may be, or would not survive (a letter that melts with the "=" before it)."""
        made = self._second_hand(sender) or self._made("0", f"{stamp(when)}={sender.domain}={sender.local}")
        address = Address(made, domain)
        if len(f"<{address}>".encode()) > MAX_PATH or composed(made) != made:
            return None
        return address

    def homeward(self, address: Address, now: float) -> Address | Fault | None:
        """Whose address it stands for; None: it is not of this form."""
        tag = _TAG.match(address.local)
        if tag is None:
            return None
        hash, _, rest = address.local[tag.end() :].partition("=")
        if not hash.isascii() or not hmac.compare_digest(self._hash(tag[1], rest), hash.upper()):
            return Fault.FORGED
        try:
            return self._read(tag[1], rest, now)
        except ValueError:  # what we make ourselves reads well
            return Fault.FORGED

    def _read(self, kind: str, rest: str, now: float) -> Address | Fault:
        if kind == "1":
            forwarder, opaque = rest.split("=", 1)
            return Address(f"SRS0{opaque}", address_domain(forwarder))
        when, domain, local = rest.split("=", 2)
        return Address(local, address_domain(domain)) if self._is_fresh(when, now) else Fault.EXPIRED

    def _second_hand(self, sender: Address) -> str:
        """For what was forwarded before: its bounces go to the first forwarder at once, who alone knows the sender. ""
        if it was not."""
        tag, first, rest = _TAG.match(sender.local), sender.domain, sender.local[4:]
        if tag is None:
            return ""
        if tag[1] == "1":
            found = _THIRD_HAND.fullmatch(sender.local)
            if found is None:
                return ""
            first, rest = found["first"], found["rest"]
        try:
            return self._made("1", f"{address_domain(first)}={rest}")
        except ValueError:
            return ""

    def _made(self, kind: str, rest: str) -> str:
        return f"SRS{kind}={self._hash(kind, rest)}={rest}"

    def _hash(self, kind: str, rest: str) -> str:
        digest = hmac.digest(self.key, f"srs{kind}={folded(rest)}".encode(), "sha256")
        return b32encode(digest[:HASH_OCTETS]).decode("ascii")

    def _is_fresh(self, when: str, now: float) -> bool:
        """Of tomorrow it is when our clock was set back a little."""
        age = (int(now // DAY) - _day(when)) % TURN
        return age <= self.max_age or age == TURN - 1


def is_srs(address: Address) -> bool:
    """Whether it has the form of a return address, ours or not."""
    return _TAG.match(address.local) is not None


def stamp(when: float) -> str:
    """Two characters for the day of a Unix time."""
    day = int(when // DAY) % TURN
    return _BASE32[day >> 5] + _BASE32[day & 31]


def _day(stamp: str) -> int:
    """Of a stamp of ours."""
    return _BASE32.index(stamp[0].upper()) << 5 | _BASE32.index(stamp[1].upper())
