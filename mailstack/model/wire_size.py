"""How long a letter that is stored with LF is on the wire."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import define


@define
class WireCount:
    """Octets as ``DotEncoder`` of the protocols sends them, without the stuffed dots and the final one: a lone LF
    counts as CRLF, and a last line without an end as if it had one. Pieces may be cut anywhere."""

    _octets: int = 0
    _last: bytes = b"\n"

    def take(self, piece: bytes) -> None:
        self._octets += len(piece) + piece.count(b"\n")
        if b"\r" in piece:
            self._octets -= piece.count(b"\r\n")
        if self._last == b"\r" and piece[:1] == b"\n":
            self._octets -= 1
        self._last = piece[-1:] or self._last

    @property
    def so_far(self) -> int:
        """Without the end that the last line may lack."""
        return self._octets

    @property
    def octets(self) -> int:
        return self._octets if self._last == b"\n" else self._octets + 2


def wire_octets(pieces: Iterable[bytes]) -> int:
    """Of a whole letter."""
    count = WireCount()
    for piece in pieces:
        count.take(piece)
    return count.octets
