"""Which letters of a source we have, or have had; and what their unique-ids may be with us."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from hashlib import sha256

from attrs import frozen

from mailstack.admin.import_record import Had, Past
from mailstack.maildir import names

MAX_STEM = 160  # octets of a file's name, of 255: the rest is for the time, the host, the sizes and the flags

_UNIQUE_ID = re.compile(r"[!-~]{1,70}\Z")  # RFC 1939 §7


@frozen
class Offer:
    """A letter of a source. ``id`` tells it from the source's others; ``size`` in octets with CRLF, None: not known."""

    id: str
    uid: str  #: what POP3 clients know it by; "": nothing
    size: int | None


class Known:
    """``there``: the files that are in the mailbox now, without their flags."""

    def __init__(self, source: str, pasts: Mapping[str, Past], there: Collection[str]) -> None:
        self._source = source
        self._own = pasts.get(source, Past())
        self._others = {
            name: {letter.uid: letter for letter in past.letters.values()}
            for name, past in pasts.items()
            if name != source
        }
        recorded = {letter.uid for past in pasts.values() for letter in past.letters.values()}
        uids = dict(zip(names.unique_ids(list(there)), map(names.wire_size, there), strict=True))
        #: Of what is in the mailbox and in no record: the record was lost, or another program brought it.
        self._unrecorded = {uid: size for uid, size in uids.items() if uid not in recorded}
        self._taken = recorded | uids.keys()
        self._coming: set[str] = set()
        self._adopted: set[str] = set()

    def compare(self, offers: Iterable[Offer]) -> None:
        """Find out whether another source is the same under another name: a server is often called by its address once
        DNS leads elsewhere. It is when every unique-id that both have stands for a letter of the same size.

        Were it by the ids alone, two servers that count from 1 would be taken for one, and letters would be lost.
        """
        named = {offer.uid: offer for offer in offers if offer.uid}
        for letters in self._others.values():
            common = named.keys() & letters.keys()
            if all(_alike(named[uid].size, _sizes(letters[uid])) for uid in common):
                self._adopted |= common

    def has(self, offer: Offer) -> bool:
        if offer.id in self._own.letters or offer.id in self._coming or offer.uid in self._adopted:
            return True
        return any(
            uid in self._unrecorded and _alike(offer.size, (self._unrecorded[uid],))
            for uid in (offer.uid, self._substitute(offer))
        )

    def keep(self, offer: Offer) -> str:
        """The unique-id for a letter that comes in: the old one, if it can be kept and nothing else has it. From now on
        it is taken, and the letter known."""
        uid = offer.uid if _fits(offer.uid) and offer.uid not in self._taken else self._substitute(offer)
        self._taken.add(uid)
        self._coming.add(offer.id)
        return uid

    def _substitute(self, offer: Offer) -> str:
        return sha256(f"{self._source}\0{offer.id}".encode("utf-8", "surrogateescape")).hexdigest()


def _fits(uid: str) -> bool:
    """It keeps to the RFC, and a file's name has room for it."""
    return _UNIQUE_ID.match(uid) is not None and len(names.keeping(uid, 0, "")) <= MAX_STEM


def _sizes(had: Had) -> tuple[int | None, ...]:
    """As the source said, and as it is."""
    return had.listed, had.wire_size


def _alike(size: int | None, known: tuple[int | None, ...]) -> bool:
    """What is not known differs from nothing."""
    return size is None or size in known or known == (None,)
