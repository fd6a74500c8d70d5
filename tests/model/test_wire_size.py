"""How long a stored letter is on the wire."""

from __future__ import annotations

import pytest

from mailstack.model.wire_size import wire_octets


@pytest.mark.parametrize(
    ("letter", "octets"),
    [(b"", 0), (b"a\n", 3), (b"a", 3), (b"a\nb\n\n", 8), (b"a\r\nb\r\n", 6), (b"a\r", 4)],
)
def test_wire_octets(letter: bytes, octets: int) -> None:
    assert wire_octets([letter]) == octets
    for cut in range(len(letter)):
        assert wire_octets([letter[:cut], b"", letter[cut:]]) == octets
