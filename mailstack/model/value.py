"""``frozen`` for values of which every letter makes some."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from attrs import frozen
else:
    from attrs import define

    def frozen(cls=None, *, eq=True, **options):
        """As attrs has it, but that mypy alone keeps it frozen: what would keep it at run time makes each value two to
        four times as dear."""
        return define(cls, eq=eq, unsafe_hash=True if eq else None, **options)


__all__ = ["frozen"]
