"""The seams for accepted mail."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from zope.interface import Attribute, Interface

from mailstack.model.address import Address
from mailstack.model.deed import Deed
from mailstack.model.entry import Ages, Changed, Entry, Moment
from mailstack.model.letter import Due, Letter
from mailstack.model.outcome import Outcome
from mailstack.model.reply import Reply
from mailstack.model.selection import Selection
from mailstack.model.value import frozen


@frozen
class Result:
    """What an attempt came to for one recipient."""

    number: int
    #: ``sent``, ``deferred``, ``bounced``; ``delivered`` or ``relayed`` where the sender wants to hear of success;
    #: ``reported`` where the sender does not want to hear of failure
    state: str
    reply: Reply
    relay: str = "none"  #: who said so: ``host[ip]:port``, ``local``, ``none``
    next_attempt: float = 0.0  #: Unix time, when deferred
    waits: bool = False  #: deferred until it is fetched, which is no delay that anybody should be warned of
    at: float = 0.0  #: Unix time; kept with the result as long as the letter is in the queue


@frozen
class Lagging:
    """What of a letter is not done."""

    late: Mapping[int, Outcome]  #: by number, those that were tried and wait for another attempt; what the last came to
    trying: bool  #: an attempt at some recipient is due: it is being made, or is in line
    warned: int  #: delay warnings sent so far


@frozen
class Wanted:
    """A question for letters: up to ``limit`` with something due at one destination, none of ``exclude``."""

    destination: str
    limit: int
    exclude: frozenset[str] = frozenset()
    newest: bool = False  #: the last to come due first, not the longest waiting


class IIncoming(Interface):
    """The content of a message while it arrives."""

    def write(chunk: bytes) -> None:
        """Octets as they will be stored (LF line ends). OSError when the disk refuses."""

    def discard() -> None:
        """Forget it. Also right after it was added or discarded: then nothing happens."""


class ILetterbox(Interface):
    """Where letters come in."""

    def receive(id: str) -> IIncoming:
        """A place for a message that starts to arrive."""

    async def add(letter: Letter, content: IIncoming) -> None:
        """On return the letter is durable and ours. OSError (ENOSPC: disk full) when it is not, and then nothing of it
        is left; in :class:`mailstack.spool.letterbox.Letterbox` see its ``unsure``."""


class ISpool(ILetterbox):
    """Accepted mail, durable. All times are Unix times."""

    on_leisure: Callable[[], None] = Attribute(
        "Called when there is time for other work: clients wait for the disk, or are few. Set by whoever has some."
    )

    async def settle(results: Mapping[str, Sequence[Result]]) -> None:
        """Record one attempt at each of these letters. One without anything left to do is removed with its file.
        Unknown letters and numbers (dropped meanwhile) are ignored, and ``deferred`` changes nothing where the
        administrator has decided otherwise meanwhile. Durable on return, which may take a moment: nobody
        waits for it. OSError: nothing of it is recorded."""

    async def report(
        id: str, told: Sequence[int], bounce: Letter | None, content: IIncoming | None, warned: int
    ) -> None:
        """Add the report (if any), then mark the sender of the letter as told of those recipients, by number, that were
        :meth:`unreported`, and note how many delay warnings were sent. Durable on return; after an OSError nothing is
        told. After a crash in between the report may be made twice, but is never lost."""

    async def destinations(now: float, limit: int, exclude: Iterable[str] = (), newest: bool = False) -> Sequence[str]:
        """Where something is due at ``now``, but for those in ``exclude``: first where it waits longest, or with
        ``newest`` where something has come due last."""

    async def due(now: float, wanted: Sequence[Wanted]) -> Sequence[Sequence[Due]]:
        """For each of the questions its letters, with those recipients that are due at that destination."""

    async def untold(limit: int, after: str = "") -> Sequence[Due]:
        """Letters with something :meth:`unreported`, in the order of ids, those behind ``after``. Nothing is pending in
        what is returned."""

    async def unreported(id: str) -> Mapping[int, Outcome]:
        """The recipients of a letter, by number, of which no report has told yet, and ought to: those that failed, and
        those that went well where the sender wants to hear it."""

    async def lagging(id: str, now: float) -> Lagging:
        """Of a letter that is gone, nothing is left to do."""

    async def unsaved(now: float, limit: int, exclude: Iterable[str] = ()) -> Sequence[Letter]:
        """Letters, released at ``now`` and none of ``exclude``, of which a copy is still to be saved for ``sent_by``.
        Until :meth:`saved` they stay, whatever has become of their recipients."""

    async def saved(ids: Sequence[str]) -> None:
        """Nothing is left to be saved of these letters. Durable on return; OSError: nothing of it is recorded."""

    async def of_account(account: Address, limit: int) -> Sequence[Entry]:
        """Letters that a user has sent, logged in, and of which an attempt is still to come: the latest first."""

    async def drop(id: str, account: Address, at: float) -> int:
        """No more attempts at a letter that this user has sent. Nobody is told. Returns how many recipients were still
        waiting; 0: no such letter waits. What the administrator holds stays. Durable on return; OSError: it may be
        dropped all the same."""

    async def hasten(domain: str, subdomains: bool) -> int:
        """Ask for attempts (``ASKED``) at recipients in a domain that were to be tried again. Returns how many letters
        wait for the domain, due or not. OSError: some of it may not have happened."""

    async def hurry(destination: str, since: float, after: float, now: float, limit: int) -> float | None:
        """Make up to ``limit`` recipients at a destination due at ``now`` that were to be tried again later, and were
        not tried after ``since``: those that come first behind ``after``. Returns the last one's old time, to go on
        from there; None: there were none."""

    async def rectify(now: float, longest: float) -> int:
        """Put right what was written while the clock was wrong: an attempt that is later than ``longest`` seconds from
        now is due; a letter from the future has come just now. Returns the number of letters."""

    async def waiting(domains: Sequence[str]) -> Sequence[str]:
        """Letters that wait for one of these domains, due or not, the oldest first."""

    async def ahead_of_time(id: str, domains: Sequence[str]) -> Due | None:
        """The recipients of a letter that wait in these domains, due or not; None: there are none."""

    async def next_due(after: float) -> float | None:
        """When the first attempt later than ``after`` is to be made; None when nothing waits."""

    async def surviving(ids: Sequence[str]) -> Mapping[str, Collection[int]]:
        """Which of the letters still are in the queue, and by number which recipients of them wait for an attempt."""

    def fit() -> bool:
        """Whether outcomes can be recorded, as far as is known. While not, nothing must be delivered: it could be
        delivered again."""

    async def examine() -> None:
        """Look at the disk; asked every second or so. It may find that the spool is fit again."""

    async def changed() -> bool:
        """Whether somebody else (the command line) has changed the queue since the last call."""

    async def faults(letters: Iterable[Letter]) -> Mapping[str, str]:
        """Of these the letters whose stored file is not what was accepted, by id, with what is wrong. What was accepted
        a moment ago is believed. OSError: nobody can tell now."""

    async def quarantine(faults: Mapping[str, str]) -> None:
        """Put letters on hold, as damaged: what of them waits for an attempt. The file stays. Durable on return;
        OSError: nothing of it is recorded."""

    def open(id: str) -> BinaryIO:
        """The stored file, for reading; FileNotFoundError when it is gone."""

    def path(id: str) -> str:
        """Where the stored file is, for linking. Text: making a Path costs as much as the link."""


class IQueueDesk(Interface):
    """The queue for an administrator, from a process of its own. Blocking; the server notices changes by itself.
    OSError when the queue cannot be read or changed."""

    def letters(selection: Selection, limit: int | None = None) -> Iterator[Entry]:
        """Letters of which at least one recipient matches, the oldest first, read while they are asked for."""

    def entry(id: str) -> Entry | None:
        """One letter."""

    def beginning(start: str) -> Sequence[str]:
        """The first few ids that begin so, in any case of letters."""

    def history(id: str) -> Sequence[Moment]:
        """What happened to a letter and its recipients so far, in order."""

    def content(id: str) -> BinaryIO:
        """The stored file; FileNotFoundError."""

    def ages(by: str, states: Sequence[str], steps: Sequence[float], now: float) -> Ages:
        """The letters with recipients in one of these states, counted by their ``destination``, ``domain`` or
        ``sender``, and by the longest ages in ``steps``: seconds, ascending."""

    def choose(verb: str, selection: Selection, ids: Sequence[str] | None = None) -> Mapping[str, int]:
        """Which letters, of these or of all, a deed would change, the oldest first; and how many recipients of each."""

    def change(deed: Deed, ids: Sequence[str], selection: Selection) -> Changed:
        """Do it to what of these letters still matches, all of it or nothing. A letter of which nothing is left goes,
        with its file."""


class IDurable(Interface):
    """Makes changes of the disk survive a power loss, many callers at the price of one."""

    def failed_syncs() -> int:
        """How many there have been; asked before the first change that is to be durable."""

    async def flush(paths: Iterable[Path], letters: Iterable[str], before: int) -> None:
        """On return the files and directories named are durable, and the spooled files of these letters, to which there
        are links now. OSError when they are not, for good; also when there have been more failed syncs than ``before``
        these changes: the kernel may have given them up, and would not say so again. It may take a moment to find
        company: nobody who can see the difference waits for it."""
