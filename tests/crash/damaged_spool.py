"""A spool with letters of all kinds, as a stop or a kill leaves it; and the server's own queue at work on it."""

from __future__ import annotations

import os
import shutil
import zlib
from collections import Counter
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any

from attrs import Factory, define, field, frozen
from zope.interface import implementer

from mailstack.config.reader import load
from mailstack.config.settings import Settings
from mailstack.delivery.local import LocalDelivery
from mailstack.delivery.parcel import packed
from mailstack.delivery.route import destination
from mailstack.durable import make_folders
from mailstack.interfaces.delivery import ITransport, Outcomes
from mailstack.interfaces.spool import Result
from mailstack.maildir.message_ids import MessageIds
from mailstack.maildir.sent import SentFolders
from mailstack.model.address import Address
from mailstack.model.letter import Due, Letter, Recipient
from mailstack.model.outcome import Delayed, Delivered
from mailstack.model.reply import Reply
from mailstack.outbound import dispatcher
from mailstack.queue.damage import DamageNotices
from mailstack.queue.mailer import Mailer
from mailstack.queue.notices import Notices
from mailstack.queue.sent import SentCopies
from mailstack.queue.wording import Voices
from mailstack.spool.disk import DiskSpool
from tests.fakes import ListLog, in_place
from tests.fakes_accounts import MemoryDirectory
from tests.spool.test_spool import Runner

START = 1_750_000_000.0
LATER = Reply(451, "4.4.1", "later")
NEVER = Reply(550, "5.1.1", "no such user")
TAKEN = Reply(250, "2.0.0", "Ok")
USERS = ("alice", "bob", "sender", "postmaster")
QUIET = 45.0  # virtual seconds: reports wait for company, the postmaster's notice a little longer
INI = """[server]
hostname = mail.office.test
domains = office.test
data = data
[accounts]
users = users
[smtp]
listen = tcp:2525
[submission]
listen =
listen_tls =
[pop3]
listen =
listen_tls =
[routes]
* = smtp:[127.0.0.1]:1
"""


@cache
def _voices() -> Voices:
    voices = Voices("en", None, ListLog())
    voices.load()
    return voices


def address(text: str) -> Address:
    return Address.parse(text if "@" in text else f"{text}@office.test")


@frozen
class Original:
    """A letter as it was accepted."""

    letter: Letter
    content: bytes
    pending: frozenset[str]  #: recipients who are to get it
    held: bool = False
    told: bool = False  #: its sender is to get a report


def content_of(number: int, octets: int) -> bytes:
    head = f"Return-Path: <sender@office.test>\nReceived: by mail.office.test\nSubject: letter {number}\n\n"
    return head.encode() + Random(number).randbytes(octets // 2).hex().encode() + b"\n"


@implementer(ITransport)
@define
class Remote:
    """Takes what the wire would carry; or nobody answers."""

    spool: DiskSpool
    down: bool = False
    taken: list[tuple[str, str, bytes]] = Factory(list)  #: id, recipient, octets

    async def deliver(self, dues: Sequence[Due]) -> Sequence[Outcomes]:
        return [self._deliver(due) for due in dues]

    def _deliver(self, due: Due) -> Outcomes:
        if self.down:
            return {each.number: Delayed(LATER) for each in due.pending}
        parcel = packed(self.spool, ListLog(), due.letter, due.pending)
        if isinstance(parcel, Reply):
            return {each.number: Delayed(parcel) for each in due.pending}
        with parcel:
            octets = b"".join(parcel.content(False)).removesuffix(b".\r\n").replace(b"\r\n", b"\n")
        self.taken += [(due.letter.id, str(each.recipient.address), octets) for each in due.pending]
        return {each.number: Delivered(TAKEN, "remote") for each in due.pending}


@define(slots=False)
class Server:
    """Spool, queue and local delivery as the server has them, without sockets, threads and waiting."""

    root: Path
    settings: Settings
    wait: Runner = Factory(lambda: Runner(steps=100))
    log: ListLog = Factory(ListLog)
    spool: DiskSpool = field(init=False)
    count: int = 0

    def __attrs_post_init__(self) -> None:
        where = partial(destination, self.settings)
        self.data, self.clock = self.root / "data", self.wait.clock
        self.spool = DiskSpool(self.data, "file", in_place, in_place, self.clock, self.log, where)
        self.directory = MemoryDirectory([f"{name}@office.test" for name in USERS])
        self.remote = Remote(self.spool)
        voices = _voices()
        mailer = Mailer("mail.office.test", self.directory, self.spool, self.new_id)
        mail = self.data / "mail"
        local = LocalDelivery(mail, "mail", self.directory, self.spool, self.spool, in_place, self.log)
        common: Any = (lambda: voices.voice, self.log, self.clock, self.now, Random(1), 10)
        self.queue = dispatcher(self.settings, self.spool, local, self.remote, where, mailer, *common)
        ids = MessageIds(self.data / "state/sent.db")
        folders = SentFolders(mail, "mail", self.spool.path, self.directory.mailbox, ids)
        self.sent = SentCopies(self.spool, folders, self.spool, in_place, 1e9, self.log, self.clock, self.now)
        postmaster = address("postmaster")
        notices = Notices(mailer, self.spool, postmaster, lambda: voices.voice, self.log, self.now, self.queue.wake)
        self.damage = DamageNotices(notices.send, "mail.office.test", postmaster, self.clock, self.now)
        self.spool.custody.on_damage = self.damage.add

    def now(self) -> float:
        return START + 1000 + self.clock.seconds()

    def new_id(self) -> str:
        self.count += 1
        return f"Z{self.count:04}"

    def play(self) -> None:
        """A start, all that happens then, and a stop."""
        make_folders(self.data / "mail")  # as the service does
        repairs = self.spool.start()
        self.faults = repairs.faults
        self.unacknowledged = repairs.unacknowledged
        self.damage.add(repairs.faults)
        self.queue.startService()
        self.sent.startService()
        end = self.clock.seconds() + QUIET
        while self.clock.seconds() < end:
            following = min((call.getTime() for call in self.clock.getDelayedCalls()), default=end)
            self.clock.advance(max(0.0, min(following, end) - self.clock.seconds()))
        self.queue.stopService()
        self.sent.stopService()
        self.damage.stop()
        self.wait(self.spool.stop())


def settings_of(root: Path) -> Settings:
    (root / "mail.ini").write_text(INI)
    (root / "users").touch()
    return load(root / "mail.ini", files=False)


@define
class Master:
    """The spool before the damage: each file's octets, by path below ``spool``."""

    files: dict[str, bytes]
    letters: dict[str, Original]

    def lay(self, spool: Path) -> None:
        (spool / "messages").mkdir(parents=True)
        for name, octets in self.files.items():
            fd = os.open(spool / name, os.O_WRONLY | os.O_CREAT, 0o600)
            os.write(fd, octets)
            os.close(fd)


#: Recipients, the results of attempts so far, and what else is to be said of the letter.
Kind = tuple[str, tuple[str, ...], dict[str, Any]]
KINDS: tuple[Kind, ...] = (
    ("local", ("alice",), {}),
    ("remote", ("x@far.test",), {}),
    ("both", ("alice", "bob", "y@far.test"), {}),
    ("tried", ("z@far.test",), {}),
    ("partly", ("bob", "w@far.test"), {}),
    ("bounce", ("v@far.test",), {}),
    ("held", ("alice",), {}),
    ("copy", ("alice", "u@far.test"), {"sent_by": address("sender")}),
    ("large", ("bob",), {}),
)
NUMBER = 54


def master(root: Path, killed: bool) -> Master:
    """Made by the spool itself. ``killed``: as it stood at the last moment, with a log that has not been copied."""
    server = Server(root, settings_of(root))
    server.spool.start()
    letters: dict[str, Original] = {}
    for number in range(NUMBER):
        if number == NUMBER * 2 // 3:
            server.spool._store.checkpoint()
        kind, to, more = KINDS[number % len(KINDS)]
        original = _letter(number, kind, to, more)
        letters[original.letter.id] = original
        incoming = server.spool.receive(original.letter.id)
        incoming.write(original.content)
        server.wait(server.spool.add(original.letter, incoming))
        _attempt(server, kind, original.letter.id)
    if not killed:
        server.wait(server.spool.stop())
    folder = root / "data/spool"
    paths = [path for path in folder.rglob("*") if path.is_file() and path.parent.name != "reserve"]
    files = {str(path.relative_to(folder)): path.read_bytes() for path in paths}
    if killed:
        server.spool.close()
    shutil.rmtree(root / "data")
    return Master(files, letters)


def _letter(number: int, kind: str, to: Sequence[str], more: dict[str, Any]) -> Original:
    id = f"L{number:04}"
    content = content_of(number, 60_000 if kind == "large" else 400 + number)
    recipients = tuple(Recipient(address(each), address(each)) for each in to)
    letter = Letter(
        id, address("sender"), recipients, START + number, len(content), content.count(b"\n"),
        content.index(b"Received:"), False, zlib.crc32(content), **more,
    )  # fmt: skip
    names = [str(each.address) for each in recipients]
    waiting = {"partly": names[1:], "bounce": [], "held": []}.get(kind, names)
    return Original(letter, content, frozenset(waiting), kind == "held", kind == "bounce")


def _attempt(server: Server, kind: str, id: str) -> None:
    """What happened before."""
    results = {
        "tried": [Result(0, "deferred", LATER, "far.test", START + 500, at=START + 100)],
        "partly": [Result(0, "sent", TAKEN, "local", at=START + 100)],
        "bounce": [Result(0, "bounced", NEVER, "far.test", at=START + 100)],
    }.get(kind)
    if results:
        server.wait(server.spool.settle({id: results}))
    if kind == "held":
        server.wait(server.spool.quarantine({id: "by somebody"}))


# ---- What came of it


@define
class Came:
    """Copies by recipient and letter, and what nobody has sent."""

    copies: Counter[tuple[str, str]] = Factory(Counter)
    wrong: list[str] = Factory(list)
    reports: Counter[str] = Factory(
        Counter
    )  #: by the subject of the letter that they are about, in Maildirs of senders
    unnamed: int = 0  #: reports that show nothing of the letter
    notices: int = 0
    saved: Counter[str] = Factory(Counter)


def outcome(server: Server, letters: dict[str, Original]) -> Came:
    found = Came()
    by_content = {each.content: id for id, each in letters.items()}
    on_wire = {each.content[each.letter.relay_offset :]: id for id, each in letters.items()}
    for id, to, octets in server.remote.taken:
        _count(found, on_wire.get(octets), to, letters, f"remote {id}")
    mail = server.data / "mail/office.test"
    for user in USERS:
        for path in sorted((mail / user / "new").glob("*")):
            octets = path.read_bytes()
            if b"\nSubject: Damaged mail" in octets:
                found.notices += 1
            elif b"multipart/report" in octets:
                _report(found, octets)
            else:
                _count(found, by_content.get(octets), f"{user}@office.test", letters, path.name)
        for path in (mail / user / ".Sent/cur").glob("*"):
            name = by_content.get(path.read_bytes())
            if name is None or user != "sender":
                found.wrong.append(f"saved: {path.name}")
            else:
                found.saved[name] += 1
    return found


def _count(found: Came, id: str | None, to: str, letters: dict[str, Original], where: str) -> None:
    if id is None:
        found.wrong.append(f"{where} for {to}: nobody has sent this")
    elif to not in {str(each.address) for each in letters[id].letter.recipients}:
        found.wrong.append(f"{id} was never for {to}")
    else:
        found.copies[id, to] += 1


def _report(found: Came, octets: bytes) -> None:
    _, said, rest = octets.partition(b"\nSubject: letter ")
    number = rest.partition(b"\n")[0]
    if said and number.isdigit():
        found.reports[f"L{int(number):04}"] += 1
    else:
        found.unnamed += 1
