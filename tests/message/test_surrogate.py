"""What programs get that cannot have UTF-8 in the header: RFC 6858."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage
from hashlib import sha256

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mailstack.message import surrogate as module
from mailstack.message.surrogate import INVALID, MAX_HEADER, surrogate
from tests import cuts

LETTER = """\
Return-Path: <王@例子.测试>
Received: from 例子.测试 by mail.office.test; Mon, 23 Nov 2026 15:52:29 +0000
From: 王小明 <王@例子.测试>, "Doe, Jane" <jane@例子.测试>
To: 团队: alice@office.test, 李@office.test;
Subject: 关于项目
X-Plain: as it
 was
List-Id: 列表 <a.b>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="b1"

--b1
Content-Type: text/plain; charset=utf-8

正文
--b1
Content-Type: application/pdf; name="报告.pdf"
Content-Disposition: attachment; filename="报告 \\"2\\".pdf"; size=3
Content-Transfer-Encoding: base64

eHh4
--b1
Content-Type: message/global

Subject: 内
From: a@b.test

正文
--b1--
尾
""".encode()


def made(letter: bytes) -> bytes:
    return b"".join(surrogate([letter]))


def parsed(letter: bytes) -> EmailMessage:
    message = message_from_bytes(made(letter), policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def heads(letter: bytes) -> bytes:
    return made(letter + b"\nbody").removesuffix(b"\nbody").removesuffix(b"\n")


def test_what_people_read_is_kept() -> None:
    """By a reader of mail that knows nothing of UTF-8 in headers."""
    message = parsed(LETTER)
    assert message["Subject"] == "关于项目"
    assert [(each.display_name, each.addr_spec) for each in message["From"].addresses] == [
        ("王小明 <王@例子.测试>", INVALID),
        ("Doe, Jane", "jane@xn--fsqu00a.xn--0zwm56d"),
    ]
    assert [each.addr_spec for each in message["To"].addresses] == ["alice@office.test", INVALID]
    text, report, within = message.iter_parts()
    assert text.get_content() == "正文"
    assert report.get_filename() == '报告 "2".pdf'
    assert report.get_content() == b"xxx"
    assert within.get_content_type() == "message/rfc822"
    assert within.get_content()["Subject"] == "内"


def test_headers_are_ascii_and_the_rest_is_untouched() -> None:
    """RFC 6858 §2.4: what has no other form is left out."""
    lines = made(LETTER).split(b"\n")
    assert [line.decode() for line in lines if not line.isascii()] == ["正文", "正文", "尾"]
    assert b"X-Plain: as it\n was\n" in made(LETTER)
    assert b"Received" not in made(LETTER) and b"List-Id" not in made(LETTER)
    assert max(map(len, lines)) <= 998


def test_letter_without_utf8_in_its_headers_stays() -> None:
    for letter in (b"Subject: x\n\n\xe6\x96\x87\n", b"no header at all\n", b"", b"\n\nx", b"a: b\r\n\r\nc\r\n"):
        assert made(letter) == letter


def test_octets_do_not_change_from_one_version_to_the_next() -> None:
    """They are counted in names of files that were delivered years ago. If this fails, give the field another name
    than ``U``, and count anew where that is missing."""
    assert sha256(made(LETTER)).hexdigest()[:16] == "aa2b502322c46ce4"


@pytest.mark.parametrize(
    ("field", "result"),
    [
        ("Subject: é", "Subject: =?utf-8?b?w6k=?="),
        ("subject :\n é\n\té", "subject: =?utf-8?b?w6kJw6k=?="),
        ("To: undisclosed 收件人:;", ""),
        ("To: a b 地址", f"To: =?utf-8?b?YSBiIOWcsOWdgA==?=\n <{INVALID}>"),
        ("Cc: é@a.test", f"Cc: =?utf-8?b?w6lAYS50ZXN0?=\n <{INVALID}>"),
        ('Cc: "é" <a@b.test> (c)', "Cc: =?utf-8?b?w6k=?=\n <a@b.test>"),
        ('Cc: "a\\"b" <a@é.test>', 'Cc: "a\\"b" <a@xn--9ca.test>'),
        ("Cc: J. R. é <a@b.test>", "Cc: =?utf-8?b?Si4gUi4gw6k=?=\n <a@b.test>"),
        ("Cc: J. R. <a@é.test>", 'Cc: "J. R." <a@xn--9ca.test>'),
        ("Cc: a <b@é.test>", "Cc: a <b@xn--9ca.test>"),
        (
            "Content-Type: text/plain; name=é; charset=utf-8",
            "Content-Type: text/plain;\n name*=utf-8''%C3%A9;\n charset=utf-8",
        ),
        ('Content-Type: a/b; x="é;\\"y"; z', "Content-Type: a/b;\n x*=utf-8''%C3%A9%3B%22y"),
        ("Content-Type: té/plain", ""),
        ("Content-Disposition: attachment; filename=" + "文" * 400, "Content-Disposition: attachment"),
        ("Content-Disposition: attachment; é=1", "Content-Disposition: attachment"),
        ("X-é: 1", ""),
        ("é", ""),
        (": é", ""),
    ],
)
def test_fields(field: str, result: str) -> None:
    assert heads(f"{field}\n".encode()).decode() == result


def test_octets_that_are_no_utf8_are_shown_as_such() -> None:
    assert parsed(b"Subject: a\xff\n\n")["Subject"] == "a\N{REPLACEMENT CHARACTER}"


def test_encoded_words_are_short_and_whole() -> None:
    """RFC 2047 §2: 75 characters, and no character is cut in two."""
    text = "字a" * 100
    words = made(f"Subject: {text}\n\n".encode()).decode().split("\n")[:-2]
    assert max(len(word.removeprefix("Subject:").strip()) for word in words) <= 75
    assert parsed(f"Subject: {text}\n\n".encode())["Subject"] == text


def test_encoded_letter_within_is_left_alone() -> None:
    letter = b"Content-Type: message/global\nContent-Transfer-Encoding: base64\n\n\xc3\xa9: \xc3\xa9\n"
    assert made(letter) == letter


def test_work_on_addresses_is_bounded() -> None:
    """What is beyond is shown, but not taken apart."""
    field = b"To: " + b", ".join([b"\xc3\xa9@a.test"] * 600) + b"\n"
    said = made(field * 10 + b"\n")
    assert said.count(INVALID.encode()) < 10 * 600
    assert said.isascii()


def test_endless_header_is_cut() -> None:
    said = made(b"A: b\n" * MAX_HEADER + b"\n\xc3\xa9\n")
    assert len(said) <= MAX_HEADER + 10
    assert said.endswith(b"A: b\n\n\xc3\xa9\n")


def test_parts_in_parts_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Boundaries beyond some depth are no boundaries."""
    monkeypatch.setattr(module, "MAX_DEPTH", 2)
    letter = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(4))
    assert made(letter) == letter


WORDS = st.sampled_from(
    [
        b"\n",
        b"\n\n",
        b"\r\n",
        b" ",
        b"--b1",
        b"--b1--",
        b"--b2\n",
        b"\nContent-Type: multipart/mixed; boundary=b1\n\n--b1\n",
        b"\nContent-Type: multipart/mixed; boundary=b2\n\n--b2\n",
        b"Content-Type: message/global\n\n",
        b"Subject: \xc3\xa9\n",
        b"To: a <\xc3\xa9@b.test>, ((\n",
        b'Content-Disposition: x; a="\xc3\xa9\n',
        b"\xe6",
        b"x" * 9_000,
        b" " * 9_000,
    ]
)


@given(cuts.anywhere(st.lists(WORDS, max_size=20).map(b"".join)))
@example([b"--b1" + b" " * 9_000])
@settings(max_examples=300)
def test_however_it_is_cut_the_same_comes_out(pieces: list[bytes]) -> None:
    """Or the size in the file's name were wrong."""
    assert b"".join(surrogate(pieces)) == made(b"".join(pieces))


def test_every_place_to_cut() -> None:
    for pieces in cuts.everywhere(LETTER):
        assert b"".join(surrogate(pieces)) == made(LETTER)


@given(st.binary(max_size=300))
def test_any_header_becomes_ascii(octets: bytes) -> None:
    assert made(octets.replace(b"\n\n", b"\n").replace(b"\n\r\n", b"\n").lstrip(b"\r\n")).isascii()
