"""What can be wrong with the disk, by name. ``message/meaning/doctor.toml`` says what each means, and what to do."""

from __future__ import annotations

import errno

FULL, INODES, QUOTA, LITTLE = "full", "inodes", "quota", "little"
READ_ONLY, DENIED, GONE, REPLACED = "read-only", "denied", "gone", "replaced"
ERRORS, FILES, BUSY, DAMAGED = "errors", "files", "busy", "damaged"
MAILBOXES = "mailboxes"  #: all of them, while the queue may be well

CONDITIONS = (FULL, INODES, QUOTA, LITTLE, READ_ONLY, DENIED, GONE, REPLACED, ERRORS, FILES, BUSY, DAMAGED, MAILBOXES)

#: There is no room.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)

_BY_NUMBER = {
    errno.ENOSPC: FULL,
    errno.EDQUOT: QUOTA,
    errno.EROFS: READ_ONLY,
    errno.EACCES: DENIED,
    errno.EPERM: DENIED,
    errno.ENOENT: GONE,
    errno.ENOTDIR: GONE,
    errno.ENODEV: GONE,
    errno.ENXIO: GONE,
    errno.ESTALE: REPLACED,
    errno.EMFILE: FILES,
    errno.ENFILE: FILES,
    errno.EAGAIN: BUSY,
}


def condition_of(error: OSError) -> str:
    """What an error of the disk is a sign of."""
    return _BY_NUMBER.get(error.errno or 0, ERRORS)
