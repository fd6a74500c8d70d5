"""What should be mounted, and what room there is."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from mailstack.spool.place import must_be_mounted, not_mounted, room

FSTAB = """\
# <file system> <mount point> <type> <options>
UUID=1 / ext4 defaults 0 1
UUID=2 /srv/mail ext4 defaults 0 2   # letters
/dev/sdc1 /srv/two\\040words xfs defaults 0 2
UUID=3 none swap sw 0 0
tmpfs
#UUID=4 /srv/old ext4 defaults 0 2
"""
MOUNTS = "/dev/sda1 / ext4 rw 0 0\n/dev/sdb1 /srv/mail ext4 rw 0 0\n"


@pytest.mark.parametrize(
    ("data", "mounts", "point"),
    [
        ("/srv/mail", MOUNTS, None),
        ("/srv/mail", "/dev/sda1 / ext4 rw 0 0\n", "/srv/mail"),
        ("/srv/mail/data", "/dev/sda1 / ext4 rw 0 0\n", "/srv/mail"),
        ("/srv/mailbox", "/dev/sda1 / ext4 rw 0 0\n", None),
        ("/srv", "/dev/sda1 / ext4 rw 0 0\n", "/srv/mail"),
        ("/srv", MOUNTS, None),
        ("/srv/two words/data", MOUNTS, "/srv/two\\040words"),
        ("/srv/old", MOUNTS, None),
        ("/var/lib/mail", "", None),
    ],
)
def test_what_fstab_says_is_to_be_mounted(data: str, mounts: str, point: str | None) -> None:
    assert not_mounted(Path(data), FSTAB, mounts) == point


def test_room_of_a_real_disk(tmp_path: Path) -> None:
    octets, inodes, read_only = room(tmp_path)
    assert octets > 0
    assert inodes is None or inodes > 0
    assert not read_only


def test_a_start_below_what_is_not_mounted_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"/etc/fstab": FSTAB, "/proc/self/mounts": "/dev/sda1 / ext4 rw 0 0\n"}
    monkeypatch.setattr(Path, "read_text", lambda self, *_: files[str(self)])
    with pytest.raises(OSError, match="/srv/mail is in /etc/fstab, but not mounted"):
        must_be_mounted(Path("/srv/mail/data"))
    must_be_mounted(Path("/var/lib/mailstack"))


def test_without_an_fstab_nothing_can_be_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(self: Path, *_: object) -> str:
        raise FileNotFoundError(errno.ENOENT, "no", str(self))

    monkeypatch.setattr(Path, "read_text", missing)
    must_be_mounted(Path("/srv/mail"))
