"""A log of which nobody reads the lines: a base for those who want to know of trouble alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from zope.interface import implementer

from mailstack.interfaces.log import IEventLog


@implementer(IEventLog)
class QuietLog:
    def event(self, id: str, **fields: object) -> None:
        pass

    def each(self, id: str, several: Sequence[Mapping[str, object]], **shared: object) -> None:
        pass

    def detail(self, id: str, **fields: object) -> None:
        pass

    def warn(self, id: str, **fields: object) -> None:
        pass

    def failure(self, id: str, note: str) -> None:
        pass
