"""Where mail for a local address goes, step by step: pure, over what the files said."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from attrs import field, frozen

from mailstack.accounts.aliases import Alias, Aliases
from mailstack.accounts.lines import BrokenLine
from mailstack.accounts.users import Users
from mailstack.config.settings import Settings
from mailstack.model.address import Address
from mailstack.protocol.srs import Fault

MAX_DEPTH = 20  # aliases of aliases; Postfix's virtual_alias_recursion_limit is 1000
MAX_ADDRESSES = 10_000  # that one address may lead to; Postfix's virtual_alias_expansion_limit is 1000

#: Names that exist in every domain: RFC 5321 §4.5.1, RFC 2142 §2.
ALWAYS = ("postmaster", "abuse")

#: Rules that end a way without a mailbox, and how to say so.
NOWHERE = {
    "unknown": "who does not exist",
    "loop": "which leads back to itself",
    "too many": "which is too far, or one of too many",
    "forged": "a return address that we did not give out",
    "expired": "a return address that has expired",
}
ONWARD = ("alias", "catch-all", "postmaster", "return")

#: Whom a return address of ours stands for (:meth:`Srs.homeward` at this moment).
Origin = Callable[[Address], Address | Fault | None]


def no_origin(address: Address) -> None:
    """Without SRS."""


@frozen
class Step:
    """What one address means. ``rule`` is one of

    ``account``: a mailbox of ours, ``targets[0]``; ``elsewhere``: a foreign address; ``alias``, ``catch-all`` and
    ``postmaster`` (as every domain has it) and ``return`` (an SRS address of ours): look at the targets next;
    ``unknown``: nobody; ``forged`` and ``expired``: an SRS address that is none of ours, or too old; ``loop``: leads
    only to itself; ``unsure``: files could not be read or understood; ``too many``: beyond the limits.
    """

    depth: int
    address: Address
    rule: str
    targets: tuple[Address, ...] = ()
    where: str = ""  #: ``file:line`` of an alias


@frozen
class Book:
    """All files at one moment; None: the file was never readable."""

    settings: Settings
    users: Users | None
    aliases: Aliases | None
    origin: Origin = no_origin

    def steps(self, address: Address) -> Iterator[Step]:
        """Follow an address to its ends, depth first, every address once."""
        return _Walk(self).visit(address, ())

    def has_mailbox(self, address: Address) -> bool:
        """Accounts, and the postmaster even without one, or nobody would hear of our troubles."""
        if address.key == self.settings.server.postmaster.key:
            return True
        return self.users is not None and address.key in self.users.accounts

    def look_up(self, address: Address, depth: int, mailbox_only: bool) -> Step:
        """What a local address means: exactly as written, then without its sub-address, then as a return address, then
        to the catch-all. So an account keeps its mail, whatever its name looks like."""
        for candidate in self._candidates(address):
            alias = None if mailbox_only else self._alias(candidate)
            if alias is not None:
                return _step(alias, depth, address, "alias")
            if self.has_mailbox(candidate):
                return Step(depth, address, "account", (candidate,))
            if candidate.local in ALWAYS and not mailbox_only:
                return Step(depth, address, "postmaster", (self.settings.server.postmaster,))
        if mailbox_only:
            return Step(depth, address, "loop")
        return self._return(address, depth) or self._catch_all(address, depth)

    def _candidates(self, address: Address) -> Iterator[Address]:
        exact = address.canonical
        yield exact
        delimiter = self.settings.accounts.recipient_delimiter
        base = exact.local.partition(delimiter)[0] if delimiter else ""
        if base and base != exact.local:
            yield Address(base, exact.domain)

    def _alias(self, address: Address) -> Alias | None:
        known = self.aliases.aliases if self.aliases else {}
        return known.get(address.key) or known.get(address.local)

    def _return(self, address: Address, depth: int) -> Step | None:
        origin = self.origin(address)
        if isinstance(origin, Address):
            return Step(depth, address, "return", (origin,))
        return Step(depth, address, origin.value) if origin is not None and self._complete else None

    @property
    def _complete(self) -> bool:
        return self.aliases is not None and self.users is not None

    def _catch_all(self, address: Address, depth: int) -> Step:
        if self.aliases is None or self.users is None:
            # Whoever it is may stand in the file that we cannot read.
            return Step(depth, address, "unsure")
        alias = self.aliases.aliases.get(f"@{address.domain}")
        if alias is not None:
            return _step(alias, depth, address, "catch-all")
        catch_all = self.settings.accounts.catch_all
        if catch_all is not None:
            return Step(depth, address, "catch-all", (catch_all,))
        return Step(depth, address, "unknown")


def _step(alias: Alias, depth: int, address: Address, rule: str) -> Step:
    return Step(depth, address, "unsure" if alias.unsure else rule, alias.targets, f"{alias.path}:{alias.line}")


@frozen
class _Walk:
    book: Book
    seen: set[str] = field(factory=set)

    def visit(self, address: Address, chain: tuple[str, ...]) -> Iterator[Step]:
        """``chain`` are the addresses that led here."""
        if address.domain not in self.book.settings.server.domains:
            yield Step(len(chain), address, "elsewhere", (address,))
            return
        loops = address.key in chain
        if address.key in self.seen and not loops:
            return
        self.seen.add(address.key)
        if len(chain) > MAX_DEPTH or len(self.seen) > MAX_ADDRESSES:
            yield Step(len(chain), address, "too many")
            return
        # "alice: alice, bob" means her own mailbox, too: whoever comes by again gets no alias.
        step = self.book.look_up(address, len(chain), mailbox_only=loops)
        yield step
        if step.rule in ONWARD:
            for target in step.targets:
                yield from self.visit(target, (*chain, address.key))


def dangling(book: Book) -> Iterator[BrokenLine]:
    """Aliases with targets that lead nowhere."""
    if book.users is None or book.aliases is None:
        return
    for alias in book.aliases.aliases.values():
        for step in (step for target in alias.targets for step in book.steps(target)):
            if step.rule in NOWHERE:
                wrong = f"{alias.key} leads to {step.address}, {NOWHERE[step.rule]}"
                yield BrokenLine(alias.path, alias.line, wrong)
