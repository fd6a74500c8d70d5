"""``mailstack import maildir``: flags, keywords, folders, unique-ids; and Maildirs that are none."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from mailstack.admin.import_maildir import Unreadable, _pieces, _scan
from tests.admin.office import Office
from tests.admin.test_import_pop3 import Move

NOBODY = 65534


class Source:
    """A Maildir of another server."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder("")

    def folder(self, name: str) -> Path:
        for part in ("tmp", "new", "cur"):
            (self.root / name / part).mkdir(parents=True)
        return self.root / name

    def put(self, name: str, content: bytes = b"Subject: x\n\nbody\n", modified: int = 1600000000) -> Path:
        path = self.root / name
        path.write_bytes(content)
        os.utime(path, (modified, modified))
        return path


class MoveMaildir(Move):
    def __init__(self, office: Office, monkeypatch: pytest.MonkeyPatch, source: Source) -> None:
        super().__init__(office, monkeypatch)
        self.source = source

    def bring(self, *options: str, code: int = 0) -> str:
        result = self.office.run("import", "maildir", str(self.source.root), "alice", *options)
        assert result.exit_code == code, result.output
        return result.output


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path / "old")


@pytest.fixture
def move(office: Office, monkeypatch: pytest.MonkeyPatch, source: Source) -> MoveMaildir:
    return MoveMaildir(office, monkeypatch, source)


@pytest.mark.parametrize(("expire", "warned"), [("90d", True), ("never", False)])
def test_old_letters_that_expire_would_remove(move: MoveMaildir, expire: str, warned: bool) -> None:
    with move.office.ini.open("a") as ini:
        ini.write(f"[pop3]\nexpire = {expire}\n")
    move.source.put("cur/1700000001.a.host:2,")
    assert ("Warning: [pop3] expire = 90d: what came to the old server longer ago" in move.bring()) is warned


def test_letters_flags_and_times(move: MoveMaildir) -> None:
    move.source.put("cur/1700000002.b.host,S=17:2,SF", modified=1650000000)
    move.source.put("cur/1700000001.a.host:2,", b"CRLF\r\n\r\nx\r\n")
    move.source.put("new/1700000003.c.host", b"no end")
    move.source.put("new/.hidden")
    assert move.bring() == "alice@office.test: imported 3 letters (39 octets)\n"
    assert [(path.parent.name, path.name.partition(",S=")[2]) for path in move.files()] == [
        ("cur", "8,W=11:2,"),
        ("cur", "17,W=20:2,FS"),
        ("new", "7,W=8"),
    ]
    assert move.shown() == [
        ("1700000001.a.host", 11, b"CRLF\n\nx\n"),
        ("1700000002.b.host,S=17", 20, b"Subject: x\n\nbody\n"),
        ("1700000003.c.host", 8, b"no end\n"),
    ]
    assert [int(path.stat().st_mtime) for path in move.files()] == [1600000000, 1650000000, 1600000000]
    assert len(list(move.source.root.glob("*/*"))) == 4


def test_the_second_time_only_what_is_new(move: MoveMaildir) -> None:
    """Other flags, and what was removed here, make no difference; nor does a list that Dovecot has made since."""
    moved = move.source.put("new/1700000001.a.host")
    move.source.put("cur/1700000002.b.host:2,S")
    move.bring()
    move.files()[0].unlink()
    moved.rename(move.source.root / "cur/1700000001.a.host:2,RS")
    (move.source.root / "dovecot-uidlist").write_text("3 V1 N3 G0\n1 :1700000001.a.host\n2 :1700000002.b.host\n")
    move.source.put("new/1700000003.c.host")
    assert "imported 1 letter (20 octets); 2 of 3 are here already, or were" in move.bring()
    assert "imported 0 letters" in move.bring()


def test_sub_folders(move: MoveMaildir) -> None:
    move.source.folder(".Junk")
    move.source.folder(".Sent.2019")
    move.source.put(".Junk/cur/1700000001.a.host:2,S")
    (move.source.root / ".elsewhere").symlink_to(move.source.root / ".Junk")
    (move.source.root / ".no-maildir").mkdir()
    move.source.folder("Archive")
    said = move.bring()
    assert "alice@office.test, folder Junk: imported 1 letter (20 octets)\n" in said
    assert ".elsewhere is a symbolic link, and left out" in said
    assert "Archive is a folder of another layout" in said
    assert [path.name for path in move.files(".Junk")] == [
        "1700000001.U1700000001%2Ea%2Ehost.mail.office.test,S=17,W=20:2,S"
    ]
    assert (move.maildir / ".Junk/maildirfolder").exists()
    assert (move.maildir / ".Sent.2019/cur").is_dir()
    found = move.office.json("import", "maildir", str(move.source.root), "alice")
    assert [(each["folder"], each["known"]) for each in found] == [("", 0), ("Junk", 1), ("Sent/2019", 0)]


def test_dovecots_ids(move: MoveMaildir) -> None:
    """The list of each folder; what Dovecot has not seen yet comes last."""
    move.source.folder(".Junk")
    move.source.put("cur/1700000009.a.host:2,S")
    move.source.put("cur/1700000002.b.host:2,S")
    move.source.put("new/1700000001.c.host")
    move.source.put(".Junk/cur/1700000002.j.host:2,S")
    (move.source.root / "dovecot-uidlist").write_text("3 V255 N3 G0\n1 :1700000009.a.host\n2 :1700000002.b.host\n")
    (move.source.root / "dovecot.index.log").touch()
    assert "imported 3 letters" in move.bring()
    assert [uid for uid, _, _ in move.shown()] == ["00000001000000ff", "00000002000000ff", "1700000001.c.host"]
    assert [uid for uid, _, _ in move.shown(".Junk")] == ["1700000002.j.host"]


def test_dovecots_list_elsewhere(move: MoveMaildir, tmp_path: Path) -> None:
    """Where it is not found, and Dovecot was there, nobody guesses."""
    move.source.put("cur/1700000001.a.host:2,S")
    (move.source.root / "dovecot.index").touch()
    assert "dovecot-uidlist is not there, so the unique-ids" in move.bring(code=1)
    (tmp_path / "control").mkdir()
    (tmp_path / "control/dovecot-uidlist").write_text("3 V255 N3 G0\n1 :1700000001.a.host\n")
    move.bring("--control", str(tmp_path / "control"), "--uidl", "%v.%u")
    assert [uid for uid, _, _ in move.shown()] == ["255.1"]


def test_other_ids(move: MoveMaildir) -> None:
    move.source.put("cur/1700000001.a.host:2,S")
    assert "courierpop3dsizelist is not there" in move.bring("--uidl", "courier", code=1)
    assert "this is no courierpop3dsizelist" in _with(move, "courierpop3dsizelist", "nonsense\n", code=1)
    assert "--uidl: '%m' has more than %u" in move.bring("--uidl", "%m", code=64)
    assert "is the same for all letters" in move.bring("--uidl", "filename", code=64)
    _with(move, "courierpop3dsizelist", "/3 2 99\n1700000001.a.host:2,S 20 1:99:0\n")
    assert [uid for uid, _, _ in move.shown()] == ["UID1-99"]


def _with(move: MoveMaildir, name: str, text: str, code: int = 0) -> str:
    (move.source.root / name).write_text(text)
    return move.bring(code=code)


def test_another_mailstack(move: MoveMaildir) -> None:
    move.source.put("new/1700000001.QK0Y1.host,S=17,W=20")
    move.source.put("cur/1700000002.Uolder%2E1.host,S=17,W=20:2,S")
    move.bring()
    assert [uid for uid, _, _ in move.shown()] == ["1700000001.QK0Y1.host", "older.1"]


def test_keywords(move: MoveMaildir) -> None:
    move.source.put("cur/1700000001.a.host:2,Sb")
    (move.source.root / "dovecot-keywords").write_text("0 x\n1 $Label1\n")
    move.bring("--uidl", "%f")
    assert move.files()[0].name.endswith(":2,Sa")
    assert (move.maildir / "dovecot-keywords").read_text() == "0 $Label1\n"


def test_dry_run(move: MoveMaildir) -> None:
    move.source.put("cur/1700000001.a.host:2,S")
    assert move.bring("--dry-run") == "alice@office.test: 1 letter to import (17 octets)\n"
    assert not move.maildir.exists()


def test_links_are_not_followed(move: MoveMaildir, tmp_path: Path) -> None:
    """Root may import what anybody has prepared."""
    (tmp_path / "secret").write_text("secret\n")
    (move.source.root / "cur/1700000001.a.host:2,S").symlink_to(tmp_path / "secret")
    os.mkfifo(move.source.root / "cur/1700000002.b.host:2,S")
    assert "imported 0 letters" in move.bring()
    other = Source(tmp_path / "other")
    other.put("cur/1.a.host:2,S")
    (move.source.root / "new").rmdir()
    (move.source.root / "new").symlink_to(other.root / "cur")
    assert "is no Maildir" in move.bring(code=1)


def test_a_letter_that_cannot_be_read(move: MoveMaildir) -> None:
    path = move.source.put("cur/1700000001.a.host:2,S")
    move.source.put("cur/1700000002.b.host:2,S")
    real = os.open

    def refusing(name: str | Path, *arguments: int, **named: int) -> int:
        if name == path.name:
            raise PermissionError(13, "Permission denied")
        return real(name, *arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", refusing)
        said = move.bring(code=1)
    assert "Not imported: cur/1700000001.a.host:2,S: Permission denied" in said
    assert "imported 1 letter" in said
    assert "imported 1 letter" in move.bring()


@pytest.mark.parametrize("gone", [False, True])
def test_another_program_is_at_work(move: MoveMaildir, gone: bool) -> None:
    """It moves or removes a letter between the look at the folder and the copy."""
    path = move.source.put("new/1700000001.a.host")
    move.source.put("new/1700000002.b.host")
    real = os.open

    def moving(name: str | Path, *arguments: int, **named: int) -> int:
        if name == path.name and path.exists():
            path.unlink() if gone else path.rename(move.source.root / "cur/1700000001.a.host:2,S")
        return real(name, *arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", moving)
        said = move.bring(code=1 if gone else 0)
    assert ("another program has removed it meanwhile" in said) == gone
    assert len(move.files()) == (1 if gone else 2)


def test_what_is_no_source(move: MoveMaildir, tmp_path: Path) -> None:
    result = move.office.run("import", "maildir", str(tmp_path), "alice")
    assert (result.exit_code, "is no Maildir" in result.stderr) == (1, True)
    assert move.office.run("import", "maildir", str(tmp_path / "nothing"), "alice").exit_code == 1
    move.source.put("cur/1700000001.a.host:2,S")
    move.bring()
    own = move.office.run("import", "maildir", str(move.maildir), "alice")
    assert (own.exit_code, "is the Maildir of alice@office.test itself" in own.stderr) == (1, True)


def test_somebody_else_owns_the_mail(move: MoveMaildir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    assert "run this as " in move.bring(code=1)


# ---- Root imports, and the folders belong to somebody else


@pytest.mark.parametrize("part", [".Junk", ".Junk/cur"])
def test_folder_becomes_a_link_after_the_look(tmp_path: Path, source: Source, part: str) -> None:
    """Or its owner would get any file that root may read: he has one of that name in there for the look."""
    source.folder(".Junk")
    source.put(".Junk/cur/shadow")
    secret = tmp_path / "etc"
    (secret / "cur").mkdir(parents=True)
    for place in (secret, secret / "cur"):
        (place / "shadow").write_text("root:secret")
    (letter,) = _scan(source.root, ".Junk")
    (source.root / part).rename(source.root / "away")
    (source.root / part).symlink_to(secret, target_is_directory=True)
    with pytest.raises(Unreadable):
        list(_pieces(source.root, ".Junk", letter))


def test_letter_becomes_a_pipe_after_the_look(source: Source) -> None:
    path = source.put("cur/1700000001.a.host")
    (letter,) = _scan(source.root, "")
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(Unreadable):
        list(_pieces(source.root, "", letter))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can write for others")
def test_root_writes_nothing_where_the_owner_of_the_mail_may_not(source: Source) -> None:
    """Whatever links he has prepared, and he can read what he was given."""
    source.put("cur/1700000001.a.host:2,S")
    source.root.chmod(0o700)
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        office = Office(folder)
        vault, maildir = folder / "vault", folder / "data/mail/office.test/alice"
        for part in (vault, maildir / "new", maildir / "cur"):
            part.mkdir(parents=True)
        office.users.write_text("alice@office.test:{PLAIN}x\n")
        vault.chmod(0o700)
        for path in (folder / "data", *(folder / "data").rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        (maildir / "tmp").symlink_to(vault, target_is_directory=True)
        said = office.run("import", "maildir", str(source.root), "alice")
        assert said.exit_code == 1, said.output
        assert not list(vault.iterdir()) + list((maildir / "cur").iterdir())
        (maildir / "tmp").unlink()
        said = office.run("import", "maildir", str(source.root), "alice")
        assert said.exit_code == 0, said.output
        (file,) = (maildir / "cur").iterdir()
        assert file.stat().st_uid == NOBODY
        assert os.geteuid() == 0
