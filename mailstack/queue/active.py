"""The letters in memory, and what of each is at work."""

from __future__ import annotations

from attrs import Factory, define

from mailstack.model.letter import Due, Letter


@define(eq=False)
class Active:
    """A letter in memory. Its parts for different destinations go their ways by themselves."""

    letter: Letter
    warned: int
    unreported: bool
    #: where something of it waits for its turn, is attempted, or is being recorded
    keys: set[str] = Factory(set)
    telling: int = 0  #: how many reports on parts of it are on their way
    dropped: bool = False  #: the administrator, or its sender, has removed it

    @classmethod
    def of(cls, due: Due) -> Active:
        return cls(due.letter, due.warned, due.unreported)


@define(eq=False)
class Part:
    """What of a letter goes to one destination."""

    active: Active
    due: Due
    key: str
    found: bool = False  #: in the database: it has not just come

    @property
    def id(self) -> str:
        return self.due.letter.id

    @property
    def asked(self) -> bool:
        """Somebody wants this attempt now."""
        return any(each.asked for each in self.due.pending)

    @property
    def first(self) -> bool:
        return all(each.attempts == 0 for each in self.due.pending)
