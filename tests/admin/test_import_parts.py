"""The parts of an import that need no server: line ends, times, names of folders, keywords, what is known."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.admin.import_draft import Draft, LineEnds
from mailstack.admin.import_keywords import Keywords, keywords_of
from mailstack.admin.import_moments import Moments
from mailstack.maildir import folders
from mailstack.maildir.sizes import counted
from mailstack.protocol.dots import DotEncoder
from tests import cuts

STREAMS = st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a", b"."]), max_size=12).map(b"".join)


def stored(pieces: list[bytes], path: Path) -> tuple[bytes, Draft]:
    draft = Draft(path, lf_is_odd=True)
    for piece in pieces:
        draft.write(piece)
    draft.finish()
    content = path.read_bytes()
    path.unlink()
    return content, draft


@given(cuts.anywhere(STREAMS))
def test_what_is_stored_does_not_depend_on_the_cuts(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]
) -> None:
    """And its sizes are those of our POP3, to the octet."""
    path = tmp_path_factory.getbasetemp() / "draft"
    content, draft = stored(pieces, path)
    assert (content, draft.odd) == (lambda one: (one[0], one[1].odd))(stored([b"".join(pieces)], path))
    assert b"\r\n" not in content
    assert draft.size == len(content)
    assert draft.wire_size == counted(io.BytesIO(content))
    encoder = DotEncoder()
    assert draft.wire_size == len(
        (encoder.encode(content.replace(b".", b"x")) + encoder.finish()).removesuffix(b".\r\n")
    )


@given(st.lists(st.sampled_from([b"a", b".", b"\r\n"]), max_size=12).map(lambda parts: b"".join(parts) + b"\r\n"))
def test_a_letter_that_keeps_to_the_rules_comes_out_as_it_came(content: bytes) -> None:
    ends = LineEnds(lf_is_odd=True)
    text = ends.feed(content) + ends.finish()
    assert text.replace(b"\n", b"\r\n") == content
    assert not ends.odd


@pytest.mark.parametrize(
    ("content", "text", "odd"),
    [
        (b"", b"", False),
        (b"a", b"a\n", False),
        (b"a\nb", b"a\nb\n", True),
        (b"a\rb\r\n", b"a\rb\n", True),
        (b"a\r\r\n", b"a\n", True),
        (b"a\r", b"a\n", True),
        (b"\r" * 200_000, b"\n", True),
    ],
)
def test_odd_line_ends(content: bytes, text: bytes, odd: bool) -> None:
    ends = LineEnds(lf_is_odd=True)
    assert ends.feed(content) + ends.finish() == text
    assert ends.odd == odd


def test_a_disk_has_lf() -> None:
    ends = LineEnds(lf_is_odd=False)
    assert ends.feed(b"a\nb\r\n") + ends.finish() == b"a\nb\n"
    assert not ends.odd


@pytest.mark.parametrize(
    ("header", "came"),
    [
        (b"Received: from a\r\n by b;\r\n Mon, 23 Nov 2026 15:52:29 +0000 (UTC)\r\nDate: x\r\n", 1795449149),
        (b"Received: a; Mon, 23 Nov 2026 15:52:29 +0000\r\nReceived: b; Mon, 23 Nov 2020 1:2:3 +0000\r\n", 1795449149),
        (b"Date: Mon, 23 Nov 2026 16:52:29 +0100\r\n", 1795449149),
        (b"Received: from nowhere\r\n", None),
        (b"Subject: x\r\n\r\nDate: Mon, 23 Nov 2026 16:52:29 +0100\r\n", None),
        (b"", None),
    ],
)
def test_when_a_letter_came(tmp_path: Path, header: bytes, came: int | None) -> None:
    _, draft = stored([header], tmp_path / "draft")
    assert draft.came() == came


# ---- Times


@given(st.lists(st.none() | st.integers(-5, 3000), max_size=30), st.integers(0, 900))
def test_moments_keep_the_order(came: list[int | None], last: int) -> None:
    moments = Moments(1000.5, len(came), last)
    found = [moments.next(each) for each in came]
    assert found == sorted(set(found))
    assert all(last < each for each in found)
    assert all(each <= max(1000, last + len(came)) for each in found)


def test_moments_are_the_true_times_where_they_can_be() -> None:
    moments = Moments(1000.0, 5)
    assert [moments.next(came) for came in (100, 90, None, 500, 5000)] == [100, 101, 102, 500, 1000]


# ---- Folders


@pytest.mark.parametrize(
    ("name", "directory"),
    [
        ("Junk", ".Junk"),
        ("Sent/2019", ".Sent.2019"),
        ("A & B", ".A &- B"),
        ("\u5783\u573e\u90ae\u4ef6", ".&V4NXPpCuTvY-"),
        ("Entw\u00fcrfe", ".Entw&APw-rfe"),
    ],
)
def test_folders_on_the_disk(name: str, directory: str) -> None:
    assert folders.written(name) == directory
    assert folders.shown(directory) == name


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a//b", "/a", "a/.b", "a\nb", "x" * 201])
def test_what_can_be_no_folder(name: str) -> None:
    with pytest.raises(ValueError, match="folder"):
        folders.written(name)


# ---- Keywords


def between(tmp_path: Path, theirs: str, ours: str | None, *infos: str) -> tuple[list[str], str]:
    source, target = tmp_path / "source", tmp_path / "target"
    for folder, text in ((source, theirs), (target, ours)):
        folder.mkdir()
        if text is not None:
            (folder / "dovecot-keywords").write_text(text)
    keywords = Keywords.between(keywords_of(source), target, infos)
    file = target / "dovecot-keywords"
    return [keywords.flags(info) for info in infos], file.read_text() if file.exists() else ""


def test_flags_in_the_order_of_maildir(tmp_path: Path) -> None:
    assert between(tmp_path, "", None, "2,SF", "2,TSRPFD", "", "2,", "1,SF", "2,Sxyz", "2,S,X=1") == (
        ["FS", "DFPRST", "", "", "", "S", "S"],
        "",
    )


def test_keywords_get_letters_of_ours(tmp_path: Path) -> None:
    """What has one keeps it; what nobody uses gets none."""
    theirs, ours = "0 $Label1\n1 work\n2 unused\n3 home\n", "0 other\n1 home\n"
    flags, text = between(tmp_path, theirs, ours, "2,Sab", "2,d", "2,z")
    assert flags == ["Scd", "b", ""]
    assert text == "0 other\n1 home\n2 $Label1\n3 work\n"


def test_more_keywords_than_letters(tmp_path: Path) -> None:
    ours = "".join(f"{number} ours{number}\n" for number in range(25))
    flags, text = between(tmp_path, "0 one\n1 two\n", ours, "2,Sab")
    assert flags == ["Sz"]
    assert text.splitlines()[-1] == "25 one"


def test_odd_lists_of_keywords(tmp_path: Path) -> None:
    assert between(tmp_path, "x\n99 a\n0\n0 \n", None, "2,Sa") == (["S"], "")
