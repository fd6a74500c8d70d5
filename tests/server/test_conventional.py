"""What a client sees of letters with UTF-8 in the header when it has not said UTF8."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from zope.interface.verify import verifyObject

from mailstack.interfaces.mailboxes import IMailbox
from mailstack.message.surrogate import surrogate
from mailstack.server.conventional import PIECE, conventional
from mailstack.server.pop3 import Pop3Factory
from tests.maildir.memory import MemoryMailboxes
from tests.server.pop3_office import ALICE
from tests.server.test_pop3 import LOGGED_IN, LOGIN, Service

PLAIN = b"Subject: x\n\n\xe6\x96\x87\n"
RAW = "Subject: 关于\nFrom: 王 <王@例子.测试>\n\n.文\n".encode()
LONG = "Subject: 长\n\n".encode() + b"abc\n" * PIECE
BROKEN = "Subject: 旧\n\n".encode()  # not SMTPUTF8: some old program


@pytest.fixture
def boxes() -> MemoryMailboxes:
    boxes = MemoryMailboxes()
    boxes.add(ALICE, PLAIN, RAW, LONG, BROKEN)
    boxes.utf8 = {"uid-2", "uid-3"}
    return boxes


def made(letter: bytes) -> bytes:
    return b"".join(surrogate([letter]))


def test_mailbox_without_such_letters_stays_itself() -> None:
    boxes = MemoryMailboxes()
    boxes.add(ALICE, PLAIN)
    box = boxes.open(ALICE)
    assert conventional(box) is box


def test_letters_and_sizes_go_together(boxes: MemoryMailboxes) -> None:
    """However much of a letter is read at once."""
    box = conventional(boxes.open(ALICE))
    assert verifyObject(IMailbox, box)
    expected = [PLAIN, made(RAW), made(LONG), BROKEN]
    for index, letter in enumerate(expected):
        with closing(box.open(index)) as file:
            assert b"".join(iter(lambda: file.read(5_000), b"")) == letter
    sizes = [len(letter) + letter.count(b"\n") for letter in expected]
    assert [box.size(index) for index in range(box.count)] == sizes
    assert b"".join(box.size_lines(0, 4)) == b"".join(b"%d %d\r\n" % each for each in enumerate(sizes, 1))
    assert b"".join(box.size_lines(2, 3)) == b"3 %d\r\n" % sizes[2]
    assert box.octets == sum(sizes)
    assert b"".join(box.uid_lines(1, 3)) == b"2 uid-2\r\n3 uid-3\r\n"


def test_the_rest_is_that_of_the_mailbox(boxes: MemoryMailboxes) -> None:
    boxes.times["uid-2"] = 5
    box = conventional(boxes.open(ALICE))
    assert (box.arrived(1), box.letter_id(1), box.surrogates()) == (5, "2", {})
    assert list(box.delete([1])) == []
    with pytest.raises(FileNotFoundError):
        box.open(1)
    box.close()
    assert not boxes.in_use(ALICE)


def listed(said: bytes) -> Iterator[bytes]:
    """Letters of several RETR, dots unstuffed."""
    for part in said.split(b" octets\r\n")[1:]:
        yield part.partition(b"\r\n.\r\n")[0].replace(b"\r\n.", b"\r\n") + b"\r\n"


@pytest.mark.parametrize("utf8", [False, True])
def test_sizes_agree_on_the_wire(boxes: MemoryMailboxes, utf8: bool) -> None:
    service = Service()
    service.fakes.mailboxes = boxes
    service.factory = Pop3Factory(
        service.clock, service.factory._connections, service.fakes.open(), service.factory._listening
    )
    wire = service.connect()
    said = wire.send(b"UTF8\r\n" * utf8 + LOGIN)
    assert said.endswith(LOGGED_IN)
    total = int(wire.send(b"STAT\r\n").split()[2])
    sizes = [int(line.split()[1]) for line in wire.send(b"LIST\r\n").splitlines()[1:-1]]
    letters = list(listed(wire.send(b"RETR 1\r\nRETR 2\r\nRETR 3\r\nRETR 4\r\n")))
    assert list(map(len, letters)) == sizes
    assert sum(sizes) == total
    assert letters[1].partition(b"\r\n\r\n")[0].isascii() != utf8
    assert wire.send(b"TOP 2 0\r\n").isascii() != utf8
