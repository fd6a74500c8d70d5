"""Sender addresses that a program has made of others: so that a bounce finds its way, or shows that it is none."""

from __future__ import annotations

import re

from attrs import frozen

SRS, BATV, VERP = "srs", "batv", "verp"


@frozen
class Rewritten:
    kind: str
    address: str  #: SRS: the sender of before; BATV: the real sender; VERP: the recipient whom a bounce will mean


#   SRS0=HASH=TT=DOMAIN=LOCAL, SRS1=HASH=HOST==HASH=TT=DOMAIN=LOCAL; "-" and "+" may stand behind SRS0 and SRS1.
_SRS = re.compile(
    r"SRS(?:0|1[=+-][^=]{1,64}=[^=]{1,255}=)[=+-][^=]{1,64}=[^=]{1,8}=([^=@]{1,255})=(.{1,255})\Z", re.IGNORECASE
)
#   draft-levine-smtp-batv; some write the tag behind the name.
_BATV = re.compile(r"prvs=(?:[0-9a-f]{6,16}=([^=]{1,255})|([^=/]{1,255})/[0-9a-f]{6,16})\Z", re.IGNORECASE)
_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
#   https://cr.yp.to/proto/verp.txt: LIST-LOCAL=DOMAIN; others have "+" or a "=" more.
_VERP = re.compile(rf".{{0,255}}?[-+=]([^-+=@]{{1,64}})=({_LABEL}(?:\.{_LABEL})+)-?\Z", re.IGNORECASE)


def rewritten(local: str, domain: str) -> Rewritten | None:
    """What ``local@domain`` was made of, if it looks like it."""
    if found := _SRS.match(local):
        return Rewritten(SRS, f"{found[2]}@{found[1]}")
    if found := _BATV.match(local):
        return Rewritten(BATV, f"{found[1] or found[2]}@{domain}")
    if found := _VERP.match(local):
        return Rewritten(VERP, f"{found[1]}@{found[2]}")
    return None
