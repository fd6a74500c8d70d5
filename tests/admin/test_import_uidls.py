"""The unique-ids that other servers have shown, from what they leave in a Maildir. What Dovecot 2.3 really shows is
compared in tests/live."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mailstack.admin.import_uidls import Unreadable, by_names, couriers, dovecots, mailstacks, template

BASES = ["1700000001.M1P1.host", "1700000002.M2P2.host,S=22,W=26", "1700000003.M3.host,S=22", "1700000004.M4.host"]

DOVECOT = """\
3 V1700000000 N6 G0f1d3c3c8a8a6b65c01e00003ff2e7bb
1 Pold-id-1 W26 :1700000001.M1P1.host
2 P :1700000002.M2P2.host,S=22,W=26
3 Gguid3 O1 W26 :1700000003.M3.host,S=22
5 W26 :1700000004.M4.host
"""


def of_dovecot(folder: Path, text: str, format: str) -> list[str]:
    """In the order in which POP3 shows them."""
    (folder / "dovecot-uidlist").write_text(text)
    shown = dovecots(folder, format)(BASES)
    return [each.uid for each in sorted(shown.values(), key=lambda each: each.order)]


@pytest.mark.parametrize(
    ("format", "third", "fourth"),
    [
        ("%08Xu%08Xv", "000000036553f100", "000000056553f100"),
        ("%v.%u", "1700000000.3", "1700000000.5"),
        ("%v-%u", "1700000000-3", "1700000000-5"),
        ("UID%u-%v", "UID3-1700000000", "UID5-1700000000"),
        ("%g", "guid3", "1700000004.M4.host"),
        ("%f", "1700000003.M3.host,S=22", "1700000004.M4.host"),
        ("%Mf", "b22611a422c4058b2ec203860fe3a104", "4e6d8a1b"),
    ],
)
def test_dovecot(tmp_path: Path, format: str, third: str, fourth: str) -> None:
    """P wins, and O comes first."""
    found = of_dovecot(tmp_path, DOVECOT, format)
    if format == "%Mf":
        assert all(len(uid) == 32 for uid in (found[0], found[3]))
        return
    assert found == [third, "old-id-1", "1700000002.M2P2.host,S=22,W=26", fourth]


def test_the_md5_of_a_name() -> None:
    """As Dovecot 2.3.19 has shown it."""
    assert template("%Mf")(0, 0, "1700000001.M1P1.host", "") == "eb6321585bfba6c4a564dcacae365d5c"


def test_what_dovecot_has_not_seen_was_shown_to_nobody(tmp_path: Path) -> None:
    text = "3 V1 N3 G0\n2 :1700000002.M2P2.host,S=22,W=26\n"
    assert of_dovecot(tmp_path, text, "%u") == ["2"]
    assert of_dovecot(tmp_path, text, "%f") == [BASES[1], BASES[0], BASES[2], BASES[3]]


def test_names_alone_need_no_list(tmp_path: Path) -> None:
    assert [each.uid for each in dovecots(tmp_path, "%f")(BASES).values()] == BASES
    with pytest.raises(FileNotFoundError):
        dovecots(tmp_path, "%u")


def test_the_old_form_of_the_list(tmp_path: Path) -> None:
    """Version 1: Dovecot before 1.1, and what Courier's migration writes."""
    assert of_dovecot(tmp_path, "1 1700000000 3\n1 1700000001.M1P1.host:2,S\n2 gone\n", "%v.%u") == ["1700000000.1"]


@pytest.mark.parametrize("text", ["", "4 V1\n", "3 N5\n", "3 Vx\n", "1 x y\n"])
def test_a_list_that_is_none(tmp_path: Path, text: str) -> None:
    with pytest.raises(Unreadable):
        of_dovecot(tmp_path, text, "%u")


def test_odd_lines_are_passed_over(tmp_path: Path) -> None:
    text = f"3 V1 N9\n\nx :y\n1\n2 no name\n3 Ox :{BASES[0]}\n"
    assert of_dovecot(tmp_path, text, "%u") == ["3"]


@pytest.mark.parametrize("format", ["%m", "%n", "%5u", "%-u", "%", "x", "%v", "%%"])
def test_formats_that_cannot_be(format: str) -> None:
    with pytest.raises(ValueError):
        template(format)


@pytest.mark.parametrize(
    ("format", "uid"), [("%08Xu", "000000ff"), ("%08XUu", "000000FF"), ("%Lf", "abc"), ("%Uf", "ABC"), ("%%%u", "%255")]
)
def test_modifiers(format: str, uid: str) -> None:
    assert template(format)(255, 1, "aBc", "g") == uid


COURIER = f"""\
/{{}} 12 1234567890
{BASES[0]}:2,S 100 7:1234567890{{}}
{BASES[1]} 200 8:0{{}}
{BASES[2]} 300 0:0{{}}
17+'ü.x 300 0:0{{}}
nonsense
"""


@pytest.mark.parametrize(("version", "utf8"), [(2, ""), (3, ":0")])
def test_courier(tmp_path: Path, version: int, utf8: str) -> None:
    (tmp_path / "courierpop3dsizelist").write_text(COURIER.format(version, *[utf8] * 4))
    shown = couriers(tmp_path)([*BASES, "17+'ü.x"])
    assert {base: each.uid for base, each in shown.items()} == {
        BASES[0]: "UID7-1234567890",
        BASES[1]: "UID8",
        BASES[2]: BASES[2],
        "17+'ü.x": "17+2B+27+C3+BC.x",
    }


def test_a_list_of_courier_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "courierpop3dsizelist").write_text("name 100\n")
    with pytest.raises(Unreadable, match=r"version 2 or 3"):
        couriers(tmp_path)


def test_names() -> None:
    assert [each.uid for each in by_names(BASES).values()] == BASES
    ours = ["1.Uold%2Eid.host,S=1,W=2", "2.QK0Y.host,S=1,W=2"]
    assert [each.uid for each in mailstacks(ours).values()] == ["old.id", "2.QK0Y.host"]


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_lists_that_are_no_files(tmp_path: Path, kind: str) -> None:
    """Who imports may be root, and who owns the Maildir anybody."""
    path = tmp_path / "dovecot-uidlist"
    if kind == "link":
        (tmp_path / "elsewhere").write_text(DOVECOT)
        path.symlink_to(tmp_path / "elsewhere")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    with pytest.raises((OSError, Unreadable)):
        dovecots(tmp_path, "%u")


@pytest.mark.parametrize(
    "row", ["² W1 :{}", "9" * 5000 + " :{}", "1 O² :{}", "1 O" + "9" * 5000 + " :{}", "1 V² :{}", "-1 :{}", " :{}", ":"]
)
def test_numbers_that_are_none_do_no_harm(tmp_path: Path, row: str) -> None:
    """The list belongs to anybody. The other letters keep what they were shown as."""
    text = f"3 V1700000000 N6\n{row.format(BASES[0])}\n7 :{BASES[3]}\n"
    assert of_dovecot(tmp_path, text, "%u")[-1] == "7"


@pytest.mark.parametrize("head", ["3 V² N6\n", f"3 V{'9' * 5000} N6\n", f"1 {'9' * 5000} 1\n", "1 ² 1\n", "x" * 20_000])
def test_head_that_is_none_is_told(tmp_path: Path, head: str) -> None:
    with pytest.raises(Unreadable):
        of_dovecot(tmp_path, head, "%u")


def test_numbers_of_courier_that_are_none_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "courierpop3dsizelist").write_text(f"/3 1 1\n{BASES[0]} 1 {'9' * 5000}:1\n{BASES[1]} 1 2:3\n")
    assert [each.uid for each in couriers(tmp_path)(BASES).values()] == ["UID2-3"]


def test_list_without_end_is_not_read(tmp_path: Path) -> None:
    """It costs its owner nothing: a file may have holes."""
    list = tmp_path / "dovecot-uidlist"
    list.write_text("3 V1700000000 N6\n")
    for octets in (1 << 30, 1 << 20):  # all of them, or one line
        os.truncate(list, octets)
        with pytest.raises(Unreadable):
            dovecots(tmp_path, "%u")
