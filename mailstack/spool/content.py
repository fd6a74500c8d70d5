"""Whether the file of a letter still is what was accepted."""

from __future__ import annotations

import errno
import os
import stat
import zlib
from typing import BinaryIO

BLOCK = 1 << 20  #: octets read at once
#: What the system says of a file that nobody will ever read again as it was; anything else may be over in a moment.
OF_THE_FILE = {
    errno.EACCES,
    errno.EBADMSG,
    errno.EINVAL,
    errno.EIO,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENXIO,
    errno.EPERM,
    getattr(errno, "EUCLEAN", errno.EIO),  # the file system itself is damaged there
}


def opened(path: str) -> BinaryIO:
    """A stored file, for reading. What stands in its place neither keeps us waiting (a fifo) nor leads elsewhere (a
    symbolic link). OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "it is no file", path)
        return os.fdopen(fd, "rb")
    except BaseException:
        os.close(fd)
        raise


def fault(path: str, size: int, checksum: int) -> str:
    """What is wrong with it, behind "its file"; "" when nothing is. Blocking. OSError: nobody can tell now."""
    try:
        file = opened(path)
    except OSError as error:
        return _obstacle(path, error)
    except ValueError:
        return "has a name that makes no sense"
    with file:
        found = os.fstat(file.fileno()).st_size
        if found != size:
            return f"has {found} octets instead of {size}"
        try:
            same = measures(file) == (size, checksum)
        except OSError as error:
            return _obstacle(path, error)
    return "" if same else "has other content than what was accepted"


def _obstacle(path: str, error: OSError) -> str:
    """If the whole folder is gone, or shut, that is nothing about one letter."""
    folder = os.path.dirname(path)  # noqa: PTH120 - it is text
    if error.errno == errno.ENOENT:
        os.stat(folder)  # noqa: PTH116
        return "is missing"
    if error.errno not in OF_THE_FILE or not os.access(folder, os.X_OK):
        raise error
    return f"cannot be read ({error.strerror})"


def measures(file: BinaryIO) -> tuple[int, int]:
    """Octets and CRC-32 of what is left to read. Blocking. OSError."""
    size = checksum = 0
    while block := file.read(BLOCK):
        size += len(block)
        checksum = zlib.crc32(block, checksum)
    return size, checksum
