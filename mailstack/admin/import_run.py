"""Letters from any source into one of our mailboxes: what is new of them, in their order, and what came of it."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from types import FrameType, TracebackType
from typing import Any

import click
from attrs import Factory, define, frozen

from mailstack.admin.import_box import Arrival, Box
from mailstack.admin.import_draft import Draft
from mailstack.admin.import_known import Known, Offer
from mailstack.admin.import_moments import Moments
from mailstack.admin.output import clean, count, size

MAX_TOLD = 100  # letters that are told of one by one
LOOK = 16 * 1024 * 1024  # octets of a letter after which the room on the disk is looked at again


@define
class Tally:
    """What came of one folder; :meth:`as_object` is what scripts get."""

    source: str
    account: str
    folder: str  #: "": the mailbox itself
    found: int = 0  #: letters at the source
    known: int = 0  #: that we have, or have had
    wanted: int = 0
    wanted_octets: int = 0  #: as far as the source tells
    imported: int = 0
    octets: int = 0
    replaced: int = 0  #: imported with another unique-id than they had
    odd: int = 0  #: imported with bare CR or LF in them
    refused: int = 0  #: that the source could not give
    reasons: list[dict[str, object]] = Factory(list)  #: of the first ones
    problem: str = ""  #: why the import ended before its time

    @property
    def complete(self) -> bool:
        return not self.problem and not self.refused

    def refuse(self, letter: str, reason: str) -> None:
        self.refused += 1
        if len(self.reasons) < MAX_TOLD:
            self.reasons.append({"letter": letter, "reason": reason})

    def as_object(self) -> dict[str, object]:
        return {
            "source": self.source,
            "account": self.account,
            "folder": self.folder,
            "letters": self.found,
            "known": self.known,
            "new": self.wanted,
            "new_octets": self.wanted_octets,
            "imported": self.imported,
            "octets": self.octets,
            "other_uid": self.replaced,
            "bare_line_ends": self.odd,
            "refused": self.reasons,
            "complete": self.complete,
            "problem": self.problem or None,
        }


class Interrupts:
    """^C ends an import between two steps, never within one that belongs together. For one ``with``."""

    def __init__(self) -> None:
        self._held = self._struck = False
        self._before: Any = None  # Any: what signal(2) had, of any kind

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._strike)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _strike(self, number: int, frame: FrameType | None) -> None:
        self._struck = True
        if not self._held:
            raise KeyboardInterrupt

    @contextmanager
    def held(self) -> Iterator[None]:
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self._struck:
            self._struck = False
            raise KeyboardInterrupt


class Progress:
    """A bar on a terminal, and nothing elsewhere."""

    def __init__(self, tally: Tally, label: str) -> None:
        self._tally = tally
        self._start = monotonic()
        self._octets = self._letters = 0
        self._bar: Any = None  # Any: of click, which does not name its type
        if sys.stderr.isatty() and tally.wanted:
            self._bar = click.progressbar(
                length=max(tally.wanted_octets, 1),
                label=clean(label),
                file=sys.stderr,
                width=24,
                show_percent=True,
                item_show_func=lambda _: self._numbers(),
                update_min_steps=64 * 1024,
            )

    def more(self, octets: int) -> None:
        self._octets += octets
        if self._bar is not None:
            self._bar.update(octets)

    def letter(self) -> None:
        self._letters += 1

    def end(self) -> None:
        if self._bar is not None:
            self._bar.render_finish()

    def _numbers(self) -> str:
        rate = self._octets / max(monotonic() - self._start, 0.001)
        return f"{self._letters:,}/{self._tally.wanted:,}  {size(self._octets)}  {size(int(rate))}/s"


@frozen
class Found:
    """A letter to bring. Unix times: ``came`` of its name, ``modified`` of its file; None: what the letter says."""

    offer: Offer | None  #: None: its content alone tells it from the others
    came: int | None = None
    modified: int | None = None
    flags: str | None = None  #: None: it is new


class Run:
    """Into one box; :meth:`bring` letter after letter, then :meth:`end`."""

    def __init__(self, box: Box, known: Known, moments: Moments, tally: Tally, interrupts: Interrupts) -> None:
        self._box = box
        self._known = known
        self._moments = moments
        self._tally = tally
        self._interrupts = interrupts

    def bring(self, found: Found, pieces: Iterator[bytes], progress: Progress, wire: bool) -> None:
        """``wire``: the pieces come from a network, where lines end in CRLF. OSError, NoRoom; what ``pieces`` raise."""
        draft = self._box.draft(lf_is_odd=wire)
        try:
            self._fill(draft, pieces, progress)
        except BaseException:
            draft.drop()
            raise
        progress.letter()
        offer = found.offer or Offer(f"sha256:{draft.digest}", "", None)
        if self._known.has(offer):
            self._tally.known += 1
            draft.drop()
            return
        came = draft.came() if found.came is None else found.came
        uid = self._known.keep(offer)
        self._tally.replaced += uid != offer.uid
        self._tally.odd += draft.odd
        arrival = Arrival(offer.id, uid, offer.size, self._moments.next(came), found.modified or came, found.flags)
        # From here on the draft is the box's: the record may speak of it, and then it must not go.
        with self._interrupts.held():
            self._box.add(draft, arrival)

    def end(self) -> None:
        """What was brought becomes durable, also after a failure."""
        try:
            with self._interrupts.held():
                self._box.flush()
        finally:
            self._tally.imported, self._tally.octets = self._box.imported, self._box.octets

    def _fill(self, draft: Draft, pieces: Iterator[bytes], progress: Progress) -> None:
        since = 0
        for piece in pieces:
            draft.write(piece)
            progress.more(len(piece))
            since += len(piece)
            if since > LOOK:
                self._box.look_for_room()
                since = 0
        draft.finish()


def _amount(octets: int) -> str:
    return size(octets) if octets >= 1024 else count(octets, "octet")


def sentences(tally: Tally, dry_run: bool) -> list[str]:
    """What people are told."""
    into = f"{tally.account}{f', folder {tally.folder}' if tally.folder else ''}"
    here = f"; {tally.known:,} of {tally.found:,} are here already, or were" if tally.known else ""
    if dry_run:
        return [f"{into}: {count(tally.wanted, 'letter')} to import ({_amount(tally.wanted_octets)}){here}"]
    said = [f"{into}: imported {count(tally.imported, 'letter')} ({_amount(tally.octets)}){here}"]
    if tally.replaced:
        said.append(
            f"  {count(tally.replaced, 'letter')} could not keep the unique-id that they had (none, too long, or used"
            " twice): mail programs will fetch them once more"
        )
    if tally.odd:
        said.append(f"  {count(tally.odd, 'letter')} with bare CR or LF: an LF goes out as CRLF, a CR as a blank")
    said += [f"  Not imported: {each['letter']}: {each['reason']}" for each in tally.reasons]
    if tally.refused > len(tally.reasons):
        said.append(f"  … and {tally.refused - len(tally.reasons):,} more")
    return said
