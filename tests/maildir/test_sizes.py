"""Sizes agree with what goes over the wire, to the octet."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.maildir import sizes
from mailstack.protocol.pop3_body import multiline

LETTERS = st.lists(st.sampled_from([b"\n", b"\r\n", b"\r", b".", b"..", b"x", b"\0"])).map(b"".join)


@given(LETTERS, st.integers(1, 5))
@settings(max_examples=200)
def test_size_is_what_is_sent(letter: bytes, cut: int) -> None:
    """Without the stuffed dots and the final one, however the letter is read."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sizes, "PIECE", cut)
        size = sizes.counted(BytesIO(letter))
    sent = b"".join(multiline([letter]))
    content = sent[:-3]
    stuffed = content.startswith(b".") + content.count(b"\n.")
    assert size == len(content) - stuffed
