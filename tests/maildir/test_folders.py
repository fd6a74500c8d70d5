"""Which Maildir++ folder a name means. None of them lies outside."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailstack.maildir.folders import STANDARD, find


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    """alice's, beside bob's."""
    alice, bob = tmp_path / "alice", tmp_path / "bob"
    for place in (alice, bob, alice / ".Junk", alice / ".Work", alice / ".Work.2026", alice / ".&V4NXPpCuTvY-"):
        for part in ("tmp", "new", "cur"):
            (place / part).mkdir(parents=True)
    return alice


def refused(maildir: Path, name: str) -> bool:
    try:
        found = find(maildir, name)
    except FileNotFoundError:
        return True
    # Nothing but the Maildir and what lies in it, without a step in between.
    assert found == maildir or (found.parent == maildir and found.name.startswith(".") and found.name.strip("."))
    assert not found.is_symlink()
    return False


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("", "."),
        ("INBOX", "."),
        ("inbox", "."),
        ("Junk", ".Junk"),
        ("Work", ".Work"),
        ("Work/2026", ".Work.2026"),
        ("垃圾邮件", ".&V4NXPpCuTvY-"),
        ("junk", ".Junk"),
        ("wORK/2026", ".Work.2026"),
    ],
)
def test_folders_that_are_there(maildir: Path, name: str, folder: str) -> None:
    assert find(maildir, name) == maildir / folder


@pytest.mark.parametrize("name", STANDARD)
def test_what_programs_expect_is_there_in_any_case(tmp_path: Path, name: str) -> None:
    """Foxmail does not set up an account that is refused. The Maildir need not be there, either."""
    for maildir in (tmp_path, tmp_path / "nobody"):
        for written in (name, name.lower(), name.upper()):
            assert find(maildir, written) == maildir / f".{name}"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name",
    [
        "Nope",
        "Junk/2026",
        "..",
        ".",
        "../bob",
        "/..",
        "../../etc",
        "Junk/..",
        "Junk/../../bob",
        "/Junk",
        "Junk/",
        "Work//2026",
        "Work.2026",
        ".Junk",
        "cur",
        "new",
        "tmp",
        "Junk/new",
        "Junk\0",
        "Junk\n",
        "\0",
        "&V4NXPpCuTvY-",
        "*",
        "%",
        "INBOX/Junk",
        "x" * 300,
        "x/" * 3000,
        "\udc80",
    ],
)
def test_what_is_no_folder(maildir: Path, name: str) -> None:
    assert refused(maildir, name)


def test_the_exact_name_goes_before_one_in_another_case(maildir: Path) -> None:
    (maildir / ".JUNK/new").mkdir(parents=True)
    assert find(maildir, "Junk") == maildir / ".Junk"
    assert find(maildir, "JUNK") == maildir / ".JUNK"
    assert refused(maildir, "junk")


def test_links_are_not_followed(maildir: Path) -> None:
    """Neither a folder that is one, nor what stands in it; also not where a standard folder is expected."""
    (maildir / ".Bob").symlink_to(maildir.parent / "bob")
    (maildir / ".Sent").symlink_to(maildir.parent / "bob")
    (maildir / ".Half").mkdir()
    (maildir / ".Half/cur").symlink_to(maildir.parent / "bob/cur")
    assert all(refused(maildir, name) for name in ("Bob", "Sent", "sent", "Half"))


def test_files_and_odd_folders_are_none(maildir: Path) -> None:
    (maildir / ".file").write_text("x")
    (maildir / ".Trash").write_text("x")
    for odd in ("...", ".a..b", ".&", ".&AC8-x", ".&AC4-"):  # &AC8- is "/", which nobody may write so
        (maildir / odd / "new").mkdir(parents=True)
    assert all(refused(maildir, name) for name in ("file", "Trash", "..", "a//b", "a..b", "&", "/x", ".", "a/ /b"))


def test_a_folder_that_a_program_has_named_in_utf8(maildir: Path) -> None:
    (maildir / ".Entwürfe/new").mkdir(parents=True)
    assert find(maildir, "Entwürfe") == maildir / ".Entwürfe"
