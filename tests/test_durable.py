"""The disk's promises that can be seen without pulling the plug."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from mailstack import durable, owners


def fails(number: int) -> Any:
    """A function of the system that refuses."""

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise OSError(number, os.strerror(number))

    return refuse


def link_or_copy(source: Path, target: Path, scratch: Path) -> None:
    """As a delivery does it."""
    if not durable.hard_link(str(source), str(target)):
        durable.copy_into(str(source), str(target), str(scratch))


class TestWriteNew:
    def test_content_and_mode(self, tmp_path: Path) -> None:
        durable.write_new(tmp_path / "a", b"content")
        assert (tmp_path / "a").read_bytes() == b"content"
        assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600

    def test_existing_file_stays(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(b"old")
        with pytest.raises(FileExistsError):
            durable.write_new(tmp_path / "a", b"new")
        assert (tmp_path / "a").read_bytes() == b"old"

    def test_error_leaves_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(durable, "write_all", fails(errno.ENOSPC))
        with pytest.raises(OSError, match="No space"):
            durable.write_new(tmp_path / "a", b"content")
        assert not list(tmp_path.iterdir())

    def test_it_is_on_its_way_to_the_disk_at_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        begun: list[int] = []
        monkeypatch.setattr(durable, "_start_writing", lambda fd: begun.append(os.fstat(fd).st_size))
        durable.write_new(tmp_path / "a", b"content")
        assert begun == [len(b"content")]

    def test_not_if_there_is_no_hurry(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(durable, "_start_writing", fails(errno.EIO))
        durable.write_new(tmp_path / "a", b"content", hurry=False)
        assert (tmp_path / "a").read_bytes() == b"content"

    def test_short_writes_are_finished(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The kernel may take less than it is given."""
        write = os.write
        monkeypatch.setattr(os, "write", lambda fd, data: write(fd, bytes(data[:3])))
        durable.write_new(tmp_path / "a", b"0123456789")
        assert (tmp_path / "a").read_bytes() == b"0123456789"


class TestWriteOver:
    @pytest.mark.parametrize("before", [b"", b"short", bytes(7), b"much longer"])
    def test_all_links_have_the_content(self, tmp_path: Path, before: bytes) -> None:
        (tmp_path / "a").write_bytes(before)
        (tmp_path / "b").hardlink_to(tmp_path / "a")
        durable.write_over(tmp_path / "a", b"content", create=False)
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == b"content"

    def test_a_file_is_made_if_that_is_wanted(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            durable.write_over(tmp_path / "a", b"content", create=False)
        durable.write_over(tmp_path / "a", b"content", create=True)
        assert (tmp_path / "a").read_bytes() == b"content"
        assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600

    def test_nobody_leads_it_elsewhere_or_keeps_it_waiting(self, tmp_path: Path) -> None:
        (tmp_path / "b").write_bytes(b"other")
        (tmp_path / "a").symlink_to(tmp_path / "b")
        os.mkfifo(tmp_path / "c")
        for name, number in (("a", errno.ELOOP), ("c", errno.ENXIO)):
            with pytest.raises(OSError) as caught:
                durable.write_over(tmp_path / name, b"content", create=True)
            assert caught.value.errno == number
        assert (tmp_path / "b").read_bytes() == b"other"


class TestLinkOrCopy:
    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        path = tmp_path / "source"
        path.write_bytes(b"letter" * 1000)
        return path

    def test_link(self, source: Path, tmp_path: Path) -> None:
        link_or_copy(source, tmp_path / "target", tmp_path / "scratch")
        assert (tmp_path / "target").samefile(source)
        assert not (tmp_path / "scratch").exists()

    @pytest.mark.parametrize("number", [errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP])
    def test_copy_where_links_are_impossible(
        self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        """What a crash left at the scratch name is in nobody's way."""
        monkeypatch.setattr(os, "link", fails(number))
        (tmp_path / "scratch").write_bytes(b"left by a crash, longer or shorter")
        link_or_copy(source, tmp_path / "target", tmp_path / "scratch")
        assert (tmp_path / "target").read_bytes() == source.read_bytes()
        assert not (tmp_path / "target").samefile(source)
        assert (tmp_path / "target").stat().st_mode & 0o777 == 0o600
        assert not (tmp_path / "scratch").exists()

    @pytest.mark.parametrize("links", [True, False])
    def test_existing_target_stays(
        self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
    ) -> None:
        if not links:
            monkeypatch.setattr(os, "link", fails(errno.EXDEV))
        (tmp_path / "target").write_bytes(b"old")
        with pytest.raises(FileExistsError):
            link_or_copy(source, tmp_path / "target", tmp_path / "scratch")
        assert (tmp_path / "target").read_bytes() == b"old"
        assert not (tmp_path / "scratch").exists()

    def test_copy_that_fails_leaves_nothing(
        self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "link", fails(errno.EXDEV))
        monkeypatch.setattr(os, "fsync", fails(errno.EIO))
        with pytest.raises(OSError, match="Input/output"):
            link_or_copy(source, tmp_path / "target", tmp_path / "scratch")
        assert list(tmp_path.iterdir()) == [source]

    def test_other_errors_are_no_reason_to_copy(
        self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "link", fails(errno.EIO))
        with pytest.raises(OSError, match="Input/output"):
            link_or_copy(source, tmp_path / "target", tmp_path / "scratch")
        assert list(tmp_path.iterdir()) == [source]


class TestReplace:
    def test_new_file(self, tmp_path: Path) -> None:
        durable.replace(tmp_path / "a", b"new")
        assert (tmp_path / "a").read_bytes() == b"new"
        assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600

    def test_mode_is_kept(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(b"old")
        (tmp_path / "a").chmod(0o640)
        durable.replace(tmp_path / "a", b"new")
        assert (tmp_path / "a").read_bytes() == b"new"
        assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640

    def test_root_gives_the_file_to_its_owner(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An administrator who changes a file must not lock the server out of it."""
        (tmp_path / "a").write_bytes(b"old")
        given: list[tuple[int, int]] = []
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setattr(os, "chown", lambda fd, uid, gid: given.append((uid, gid)))
        durable.replace(tmp_path / "a", b"new")
        durable.replace(tmp_path / "b", b"new")
        there = (tmp_path / "a").stat()
        assert given == [(there.st_uid, there.st_gid), (tmp_path.stat().st_uid, tmp_path.stat().st_gid)]

    @pytest.mark.parametrize("broken", ["fsync", "fchmod"])
    def test_error_leaves_the_old_file_alone(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
    ) -> None:
        (tmp_path / "a").write_bytes(b"old")
        monkeypatch.setattr(os, broken, fails(errno.EIO))
        with pytest.raises(OSError, match="Input/output"):
            durable.replace(tmp_path / "a", b"new")
        assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]

    def test_content_is_durable_before_the_name_changes(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Or a power loss leaves an empty file; the directory comes last."""
        done: list[str] = []
        fsync, rename = os.fsync, Path.replace

        def note_sync(fd: int) -> None:
            done.append("directory" if Path(f"/proc/self/fd/{fd}").is_dir() else "content")
            fsync(fd)

        def note_rename(self: Path, target: Path) -> Path:
            done.append("rename")
            return rename(self, target)

        monkeypatch.setattr(os, "fsync", note_sync)
        monkeypatch.setattr(Path, "replace", note_rename)
        durable.replace(tmp_path / "a", b"new")
        assert done == ["content", "rename", "directory"]


class TestSync:
    @pytest.fixture(params=["file", "filesystem"])
    def sync(self, request: pytest.FixtureRequest, tmp_path: Path) -> Any:
        if request.param == "file":
            yield durable.sync_paths
        else:
            sync = durable.FilesystemSync(tmp_path)
            yield sync
            sync.close()

    def test_what_is_gone_needs_nothing(self, sync: durable.Sync, tmp_path: Path) -> None:
        (tmp_path / "there").write_bytes(b"x")
        sync([tmp_path / "there", tmp_path, tmp_path / "gone", tmp_path / "gone" / "too"])

    def test_errors_are_told(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "fsync", fails(errno.EIO))
        with pytest.raises(OSError, match="Input/output"):
            durable.sync_paths([tmp_path])

    def test_errors_of_the_file_system_are_told(self, tmp_path: Path) -> None:
        sync = durable.FilesystemSync(tmp_path)
        sync.close()
        with pytest.raises(OSError, match="Bad file descriptor"):
            sync([])

    def test_other_file_systems_are_synced_by_themselves(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        sync = durable.FilesystemSync(tmp_path)
        asked: list[Path] = []
        monkeypatch.setattr(durable, "sync_paths", lambda paths: asked.extend(paths))
        for _ in range(2):
            sync([tmp_path, Path("/proc/self"), tmp_path / "gone"])
        sync.close()
        assert asked == [Path("/proc/self")] * 2


@pytest.mark.parametrize("way", ["paths", "filesystem"])
def test_what_cannot_be_opened_keeps_nothing_else_from_being_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(str(Path(f"/proc/self/fd/{fd}").readlink())))
    monkeypatch.setattr(durable.FilesystemSync, "_covers", lambda self, path: False)
    paths = [tmp_path / str(number) for number in range(durable.MAX_OPEN + 5)]
    for path in paths[1:]:
        path.touch()
    paths[0].symlink_to(paths[0])
    sync: Any = durable.sync_paths if way == "paths" else durable.FilesystemSync(tmp_path)
    with pytest.raises(durable.NotOpened) as raised:
        sync(paths)
    assert raised.value.errno == errno.ELOOP and raised.value.paths == {paths[0]}
    assert synced == [str(path) for path in paths[1:]]


def test_folders_are_made_durable_from_the_top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that is durable in one that is not would be lost with it."""
    asked: list[Path] = []
    monkeypatch.setattr(durable, "sync_paths", lambda paths: asked.extend(paths))
    durable.make_folders(tmp_path / "a" / "b")
    durable.make_folders(tmp_path / "a" / "b")
    assert asked == [tmp_path, tmp_path / "a", tmp_path / "a"]
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


def test_folders_within_another_one_are_made_durable_even_if_they_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sync of one may have failed, or a crash have come before it."""
    asked: list[Path] = []
    path = tmp_path / "office.test" / "alice"
    path.mkdir(parents=True)
    monkeypatch.setattr(durable, "sync_paths", lambda paths: asked.extend(paths))
    durable.make_folders(path, within=tmp_path)
    assert asked == [tmp_path, path.parent]


def test_a_copy_is_durable_with_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who makes a folder's file system durable believes that it is still the one that it was."""
    asked: list[Path] = []
    (tmp_path / "new").mkdir()
    (tmp_path / "source").write_bytes(b"x")
    monkeypatch.setattr(durable, "sync_paths", lambda paths: asked.extend(paths))
    durable.copy_into(str(tmp_path / "source"), str(tmp_path / "new" / "copy"), str(tmp_path / "scratch"))
    assert asked == [tmp_path / "new"]


def test_many_paths_need_few_descriptors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A letter to a thousand mailboxes must not run out of them; each is synced all the same."""
    paths = [tmp_path / str(number) for number in range(250)]
    for path in paths:
        path.touch()
    is_open: set[int] = set()
    most = synced = 0
    real_open, real_close, real_sync = os.open, os.close, os.fsync

    def open_(path: Path, flags: int) -> int:
        nonlocal most
        fd = real_open(path, flags)
        is_open.add(fd)
        most = max(most, len(is_open))
        return fd

    def close(fd: int) -> None:
        is_open.discard(fd)
        real_close(fd)

    def sync(fd: int) -> None:
        nonlocal synced
        synced += 1
        real_sync(fd)

    monkeypatch.setattr(os, "open", open_)
    monkeypatch.setattr(os, "close", close)
    monkeypatch.setattr(os, "fsync", sync)
    durable.sync_paths([*paths, tmp_path / "gone"])
    assert synced == 250 and most <= durable.MAX_OPEN and not is_open


class TestSwap:
    def test_content_and_mode(self, tmp_path: Path) -> None:
        """Nobody else may read it, whatever could be read before."""
        path = tmp_path / "a"
        path.write_bytes(b"old")
        path.chmod(0o644)
        durable.swap(path, b"new")
        assert path.read_bytes() == b"new"
        assert path.stat().st_mode & 0o777 == 0o600

    def test_after_a_crash(self, tmp_path: Path) -> None:
        """What was left half written does not stay."""
        (tmp_path / ".a.new").write_bytes(b"ha")
        durable.swap(tmp_path / "a", b"new")
        assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"new"]

    def test_old_content_stays_when_the_disk_refuses(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "a").write_bytes(b"old")
        monkeypatch.setattr(os, "write", fails(errno.ENOSPC))
        with pytest.raises(OSError, match="No space"):
            durable.swap(tmp_path / "a", b"new")
        assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("other", ["link", "name"])
def test_what_stands_in_the_place_of_the_target_is_not_given(tmp_path: Path, other: str) -> None:
    """Its folder belongs to the one who would get it."""
    secret, folder = tmp_path / "secret", tmp_path / "folder"
    secret.write_text("root's")
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    target = folder / "maildirfolder"
    target.symlink_to(secret) if other == "link" else target.hardlink_to(secret)
    with suppress(OSError):
        owners.give(target, folder)
    assert secret.stat().st_uid == 0


def test_folders_within_one_that_is_gone_are_not_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        durable.make_folders(tmp_path / "mail" / "office.test", within=tmp_path / "mail")
    assert not (tmp_path / "mail").exists()
    (tmp_path / "mail").mkdir()
    durable.make_folders(tmp_path / "mail" / "office.test" / "alice", within=tmp_path / "mail")
    assert (tmp_path / "mail/office.test/alice").is_dir()
