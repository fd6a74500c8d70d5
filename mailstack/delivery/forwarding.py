"""What comes for an alias of ours that leads outside goes on under a return address of ours, with a mark of where it
has been; what comes round again ends here. For the transport it is a letter like any other, or two."""

from __future__ import annotations

from collections.abc import Awaitable, Container, Sequence

from attrs import evolve
from zope.interface import implementer

from mailstack.interfaces.accounts import IDirectory
from mailstack.interfaces.delivery import ITransport, Outcomes
from mailstack.interfaces.log import IEventLog
from mailstack.interfaces.spool import ISpool
from mailstack.message.loops import BEEN_HERE, been_here, delivered_to
from mailstack.model.address import Address, path
from mailstack.model.letter import Due, Letter, Pending, Recipient
from mailstack.model.outcome import Failed

BLOCK = 64 * 1_024  #: octets read at once


@implementer(ITransport)
class Forwarding:
    """In front of a transport to other servers."""

    def __init__(
        self, onward: ITransport, directory: IDirectory, spool: ISpool, header_size: int, log: IEventLog
    ) -> None:
        """``header_size`` in octets: what is behind that in a header is not looked at."""
        self._onward = onward
        self._directory = directory
        self._spool = spool
        self._header_size = header_size
        self._log = log

    def deliver(self, dues: Sequence[Due]) -> Awaitable[Sequence[Outcomes | None]]:
        for due in dues:
            for each in due.pending:
                if self._alias(each.recipient) is not None:
                    return self._forward(dues)
        return self._onward.deliver(dues)

    async def _forward(self, dues: Sequence[Due]) -> Sequence[Outcomes]:
        """Of each letter the first part; the others have their turn when that is recorded."""
        found: list[Outcomes] = []
        parts: list[tuple[int, Due]] = []
        for index, due in enumerate(dues):
            seen = self._seen(due)
            found.append({one.number: Failed(BEEN_HERE) for one in due.pending if one.recipient.original in seen})
            part = self._part(due, found[index])
            if part is not None:
                parts.append((index, part))
        answers = await self._onward.deliver([part for _, part in parts]) if parts else []
        for (index, _), answer in zip(parts, answers, strict=True):
            assert answer is not None, "only our own Maildirs hold up others"
            found[index] |= answer
        return found

    def _part(self, due: Due, done: Container[int]) -> Due | None:
        """What each of our aliases sends on is a letter of its own; the rest is one. None: nothing is left."""
        pending = [each for each in due.pending if each.number not in done]
        if not pending:
            return None
        alias = self._alias(pending[0].recipient)
        part = tuple(each for each in pending if self._alias(each.recipient) == alias)
        return evolve(due, letter=self._sent_on(due.letter, alias, part), pending=part)

    def _alias(self, recipient: Recipient) -> Address | None:
        return recipient.original if recipient.is_forwarded(self._directory.is_local) else None

    def _sent_on(self, letter: Letter, alias: Address | None, pending: Sequence[Pending]) -> Letter:
        if alias is None:
            return letter
        sender = letter.sender
        if sender is not None:
            # By the time that never changes, so that every attempt has the same sender: greylisting wants it.
            sender = self._directory.return_address(sender, alias.domain, letter.released)
        if sender != letter.sender and not all(each.attempts for each in pending):
            self._log.event(letter.id, what="forwarded", from_=path(sender), orig_to=path(alias))
        return evolve(letter, sender=sender, opening=delivered_to(alias))

    def _seen(self, due: Due) -> set[Address]:
        """Our aliases for which it has been forwarded before."""
        aliases = {alias for each in due.pending if (alias := self._alias(each.recipient)) is not None}
        return been_here(self._header(due.letter), aliases) if aliases else set()

    def _header(self, letter: Letter) -> bytes:
        """What can be read of it; whoever sends the letter finds out what is wrong with its file."""
        head = b""
        try:
            with self._spool.open(letter.id) as file:
                file.seek(letter.relay_offset)
                while b"\n\n" not in head and len(head) < self._header_size:
                    block = file.read(BLOCK)
                    if not block:
                        break
                    head += block
        except OSError:
            return b""
        return head.partition(b"\n\n")[0]
