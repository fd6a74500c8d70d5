"""What a submitted message gets and loses, and that all the rest stays as it was."""

from __future__ import annotations

from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.message.submission import SubmittedHeader
from mailstack.model.address import Address

ALICE = Address("alice", "office.test")
DATE = b"Date: Sun, 09 Sep 2001 01:46:40 +0000\n"
FROM = b"From: alice@office.test\n"
ID = b"Message-ID: <ID1@mail.office.test>\n"
WHOLE = b"Date: now\nFrom: a@b\nMessage-ID: <1>\n"


def completed(header: bytes) -> bytes:
    return SubmittedHeader.of(header).completed(ALICE, "<ID1@mail.office.test>", 1_000_000_000.0)


@pytest.mark.parametrize(
    ("header", "result"),
    [
        (b"", DATE + FROM + ID),
        (b"Subject: x\n", DATE + FROM + ID + b"Subject: x\n"),
        (WHOLE, WHOLE),
        (b"date : nonsense\nFROM:\n\ta@b\nmessage-id:\n", b"date : nonsense\nFROM:\n\ta@b\nmessage-id:\n"),
        (b"Date: 1\nDate: 2\nFrom: a@b\nMessage-ID: <1>\nMessage-ID: <2>\n", None),
        (b"From: a@b\nDate: 1\n", ID + b"From: a@b\nDate: 1\n"),
        (b"X-Date: 1\nX: Date: 1\n From: x\n", DATE + FROM + ID + b"X-Date: 1\nX: Date: 1\n From: x\n"),
        (b"Resent-From: a@b\nResent-Date: 1\nResent-Message-ID: <1>\n" + WHOLE, None),
        (b"Return-Receipt-To: x\nReceived: y\n" + WHOLE, None),
    ],
)
def test_what_is_missing_is_added(header: bytes, result: bytes | None) -> None:
    """Only that: nonsense stays, duplicates stay."""
    assert completed(header) == (header if result is None else result)


@pytest.mark.parametrize(
    ("header", "result"),
    [
        (b"Bcc: bob@office.test\n", b""),
        (b"bCC :\n", b""),
        (b"To: x\nBcc: a,\n\tb,\n c\nSubject: y\n", b"To: x\nSubject: y\n"),
        (b"Resent-Bcc: a\n b\nResent-To: x\n", b"Resent-To: x\n"),
        (b"Bcc: a\nBCC: b\n c\nbcc: d\n", b""),
        (b"X-Bcc: a\nBcc-X: b\nTo: x,\n Bcc: folded\n", b"X-Bcc: a\nBcc-X: b\nTo: x,\n Bcc: folded\n"),
        (b"To: x\nBcc: a", b"To: x\n"),
        (b"Bcc: a\n b", b""),
    ],
)
def test_blind_copies_stay_secret(header: bytes, result: bytes) -> None:
    assert completed(WHOLE + header) == WHOLE + result


@pytest.mark.parametrize(
    ("header", "result"),
    [
        (b"Subject: x\nhello\nFrom: ceo@far.test\n", b"Subject: x\n\nhello\nFrom: ceo@far.test\n"),
        (b"Subject: x\n: no name\n", b"Subject: x\n\n: no name\n"),
        (b"Subject: x\n\xe4: no name\n", b"Subject: x\n\n\xe4: no name\n"),
        (b"Subject: x\nFrom\x00: ceo@far.test\n", b"Subject: x\n\nFrom\x00: ceo@far.test\n"),
    ],
)
def test_line_that_is_no_field_ends_the_header(header: bytes, result: bytes) -> None:
    """A blank line makes it so for all readers: none of them finds another From behind it."""
    parsed = SubmittedHeader.of(header)
    assert parsed.all("from") == []
    assert completed(header) == DATE + FROM + ID + result


def test_values_as_they_came() -> None:
    parsed = SubmittedHeader.of(b"From: a@b,\n\tc@d\nfrom:x\nSENDER\t: y\nSubject: z\n")
    assert parsed.all("from") == [b" a@b,\n\tc@d", b"x"]
    assert parsed.all("sender") == [b" y"]
    assert parsed.all("date") == []


def test_author_beyond_ascii() -> None:
    """RFC 6532: a header may have UTF-8."""
    header = SubmittedHeader.of(b"").completed(Address("müller", "office.test"), "<1>", 0)
    assert 'From: "müller"@office.test\n'.encode() in header or "From: müller@office.test\n".encode() in header


@pytest.mark.parametrize(
    "piece",
    [b"a:\n", b"From: x\n", b"Bcc: x\n", b"Bcc:\n\n"[:-1] + b" \n", b" \n", b"b", b"bcc ", b"x: y\n z\n", b"Date\t"],
)
def test_hundred_thousand_fields_take_no_time(piece: bytes) -> None:
    header = b"x: y\n" + piece * 100_000
    began = process_time()
    completed(header)
    assert process_time() - began < 1


LINES = st.sampled_from(
    [
        b"Subject: x",
        b" folded",
        b"\tBcc: no",
        b"Bcc: y",
        b"RESENT-BCC:z",
        b"From: a@b",
        b"date:",
        b"Message-Id: <1>",
        b"DKIM-Signature: v=1; b=abc",
        b"no field",
        b"x:\xff\xc3",
        b": x",
        b"Bcc",
    ]
)


@settings(max_examples=300)
@given(st.lists(LINES, max_size=12))
def test_all_other_lines_stay(lines: list[bytes]) -> None:
    """Octet for octet, in their order."""
    header = b"".join(line + b"\n" for line in lines)
    result = completed(header).splitlines()
    parsed = SubmittedHeader.of(header)
    kept, blind = [], False
    for line in parsed.octets.splitlines():
        blind = blind if line[:1] in b" \t" else line.lower().startswith((b"bcc:", b"resent-bcc:"))
        kept += [] if blind else [line]
    behind = [b"", *parsed.behind.splitlines()] if parsed.behind else []
    assert result[len(result) - len(kept + behind) :] == kept + behind
    assert len(result) - len(kept + behind) <= 3
    assert parsed.octets + parsed.behind == header
