"""Ways to cut a stream into the pieces that arrive."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hypothesis import strategies as st


def at(data: bytes, places: Sequence[int]) -> list[bytes]:
    """The pieces between ``places``, in whatever order these are."""
    inside = sorted({place for place in places if 0 < place < len(data)})
    return [data[start:end] for start, end in zip([0, *inside], [*inside, len(data)], strict=True)]


def everywhere(data: bytes) -> Iterator[list[bytes]]:
    """Whole, octet by octet, and in two pieces at each place."""
    yield [data]
    yield at(data, range(len(data)))
    for place in range(1, len(data)):
        yield [data[:place], data[place:]]


@st.composite
def anywhere(draw: st.DrawFn, streams: st.SearchStrategy[bytes]) -> list[bytes]:
    """A stream in pieces."""
    data = draw(streams)
    return at(data, draw(st.lists(st.integers(0, len(data)), max_size=8)))
