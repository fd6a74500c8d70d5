"""Tricks with return addresses (SRS): whoever could make one, or use one that was given out, could send to everybody.
:mod:`.trick` explains the letters."""

from __future__ import annotations

from mailstack.admin.trick import FAR, HELLO, OURS, STRANGE, Trick
from mailstack.model.address import Address
from mailstack.protocol.srs import DAY, MAX_AGE, Srs

KEY = bytes(32)  # signs the return addresses of a rehearsal, which are good nowhere else
_NOBODY = "MAIL FROM:<>"
_TARGET = Address("target", FAR)

#: For bounces, as it seems.
_FORGED = {
    "made up": "<SRS0=AAAAAAAA={day}={x}={u}@{d}>",
    "made up, as others do": "<SRS0=AAAA={day}={x}={u}@{d}>",
    "made up, with +": "<SRS0+AAAAAAAA={day}={x}={u}@{d}>",
    "made up, with -": "<SRS0-AAAAAAAA={day}={x}={u}@{d}>",
    "made up, small letters": "<srs0=aaaaaaaa={day}={x}={u}@{d}>",
    "without hash": "<SRS0={day}={x}={u}@{d}>",
    "empty hash": "<SRS0=={day}={x}={u}@{d}>",
    "nothing but the tag": "<SRS0=@{d}>",
    "made up, for the second hand": "<SRS1=AAAAAAAA={x}==AAAA={day}={x}={u}@{d}>",
    "in the second hand, its own hash": "<SRS1={hash}={x}=={hash}={day}={x}={u}@{d}>",
    "made up, in quotes": '<"SRS0=AAAAAAAA={day}={x}={u}"@{d}>',
    "made up, percent hack inside": "<SRS0=AAAAAAAA={day}={d}={u}%{x}@{d}>",
    "made up, address inside": '<"SRS0=AAAAAAAA={day}={d}={u}@{x}"@{d}>',
    "a flipped bit": "<SRS0={flipped}={day}={x}={u}@{d}>",
    "a hash that is cut": "<SRS0={cut}={day}={x}={u}@{d}>",
    "a hash that goes on": "<SRS0={hash}A={day}={x}={u}@{d}>",
    "another user": "<SRS0={hash}={day}={x}={u}s@{d}>",
    "another domain inside": "<SRS0={hash}={day}=x{x}={u}@{d}>",
    "the domain's end moved": "<SRS0={hash}={day}=far.exampl=e{u}@{d}>",
    "another day": "<SRS0={hash}={yesterday}={x}={u}@{d}>",
    "expired": "<{expired}@{d}>",
    "second hand, another forwarder": "<SRS1={hash1}=x{x}==rest@{d}>",
    "second hand, another rest": "<SRS1={hash1}={x}==others@{d}>",
    "second hand as first hand": "<SRS0={hash1}={x}==rest@{d}>",
    "good, then percent hack": "<{good}%{x}@{d}>",
    "good, in another domain": "<{good}@{x}>",
    "good, with a sub-address": "<{good}+{x}@{d}>",
}
_TAKEN_IN_EARNEST = {"first hand": "<{good}@{d}>", "second hand": "<{good1}@{d}>", "quoted": '<"{good}"@{d}>'}


def return_places(domain: str, now: float) -> dict[str, str]:
    """What the letters of these tricks mean. ``domain`` is ours."""
    srs = Srs(KEY, MAX_AGE)
    day = int(now // DAY) * DAY
    good, expired = _made(srs, _TARGET, domain, now), _made(srs, _TARGET, domain, day - 1_000 * DAY)
    good1 = _made(srs, Address("SRS0=rest", FAR), domain, now)
    _, hash, stamp, *_ = good.split("=")
    return {
        "good": good,
        "good1": good1,
        "expired": expired,
        "hash": hash,
        "hash1": good1.split("=")[1],
        "flipped": ("B" if hash[0] == "A" else "A") + hash[1:],
        "cut": hash[:4],
        "day": stamp,
        "yesterday": _made(srs, _TARGET, domain, day - DAY).split("=")[2],
    }


def _made(srs: Srs, sender: Address, domain: str, when: float) -> str:
    made = srs.outward(sender, domain, when)
    assert made is not None, "these names are short"
    return made.local


RETURNS = (
    *(Trick("return address", name, (HELLO, _NOBODY, f"RCPT TO:{path}")) for name, path in _FORGED.items()),
    *(
        Trick("return address", f"{name}, {who}", (HELLO, sender, f"RCPT TO:{path}"))
        for name, path in _TAKEN_IN_EARNEST.items()
        for who, sender in {"from a stranger": STRANGE, "from one of ours": OURS}.items()
    ),
)
