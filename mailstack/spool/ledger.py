"""What the group commit needs of others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from mailstack.spool.batch import Batch


class Ledger(Protocol):
    """Where batches are written: :class:`mailstack.spool.store.Store`."""

    def write(self, batch: Batch) -> list[str]: ...

    def write_patiently(self, batch: Batch) -> list[str]: ...

    def sync(self) -> None: ...

    def doubt(self) -> None: ...

    def take_back(self, ids: Iterable[str]) -> None: ...

    doubtful: bool

    @property
    def full(self) -> bool: ...

    def checkpoint(self) -> None: ...


class Care(Protocol):
    """Hears how batches fare, and may help them: :class:`mailstack.spool.health.Health`."""

    def wrote(self) -> None: ...

    def failed(self, error: OSError, must: int) -> None: ...

    def given_up(self, error: OSError) -> None: ...

    @property
    def tight(self) -> bool: ...

    def verify(self) -> None: ...

    def explained(self, error: OSError) -> OSError: ...

    def make_room(self, error: OSError, everything: bool) -> bool: ...
