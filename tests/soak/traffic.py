"""Clients at work, each with its own chance: mail in, out and through, and mailboxes that are emptied."""

from __future__ import annotations

import poplib
import random
import smtplib
import threading
import time
from collections import Counter
from collections.abc import Callable
from itertools import count

from attrs import define, field

from tests.live.office import Office
from tests.live.sink import HangUp, Sink
from tests.live.wire import PASSWORD, TIMEOUT, UNVERIFIED, Wire
from tests.soak.ledger import Ledger, letter
from tests.soak.places import BOUNCE, FAR, NOBODY, USERS, here

SMALL, LARGE = 4_000, 200_000  # octets; one letter of ten is up to that large
AT_A_TIME = 5  # letters in a session, at most
SENDER = f"friend@{FAR}"


@define
class Traffic:
    """All clients together. They work while ``going`` is set, and end when ``ended`` is."""

    office: Office
    sink: Sink
    ledger: Ledger
    seed: int
    pause: float  #: seconds between two sessions of a client, on average
    counts: Counter[str] = field(factory=Counter)
    going: threading.Event = field(factory=threading.Event)
    ended: threading.Event = field(factory=threading.Event)
    _numbers: count[int] = field(factory=count)
    _mailboxes: dict[str, threading.Lock] = field(factory=lambda: {user: threading.Lock() for user in USERS})
    _busy: set[str] = field(factory=set)
    _threads: list[threading.Thread] = field(factory=list)

    def start(self) -> None:
        roles: list[tuple[str, Callable[[random.Random], None]]] = [
            ("inbound", self._inbound),
            ("inbound", self._inbound),
            ("cut", self._cut),
            ("submission", self._submission),
            ("submission", self._submission),
            ("check", self._check),
            ("fetch", self._fetch),
            ("fetch", self._fetch),
            ("fetch", self._fetch),
        ]
        self.sink.answer = Moods(random.Random(self.seed))
        for number, (role, work) in enumerate(roles):
            rng = random.Random(self.seed * 1000 + number)
            thread = threading.Thread(target=self._client, args=(f"{role} {number}", role, work, rng), daemon=True)
            self._threads.append(thread)
            thread.start()

    def rest(self) -> None:
        """Returns when no client has a session."""
        self.going.clear()
        end = time.monotonic() + 2 * TIMEOUT
        while self._busy and time.monotonic() < end:
            time.sleep(0.02)
        if self._busy:
            self.ledger.complain(f"sessions that do not end: {sorted(self._busy)}")

    def end(self) -> None:
        self.ended.set()
        self.going.set()
        for thread in self._threads:
            thread.join(2 * TIMEOUT)

    def _client(self, name: str, role: str, work: Callable[[random.Random], None], rng: random.Random) -> None:
        while not self.ended.wait(rng.expovariate(1 / self.pause)):
            self.going.wait()
            self._busy.add(name)
            try:
                if self.going.is_set() and not self.ended.is_set():
                    work(rng)
                    self.counts[role] += 1
            except Exception as error:
                self.ledger.complain(f"{name}: {type(error).__name__}: {error}")
            finally:
                self._busy.discard(name)

    # ---- SMTP

    def _letter(self, rng: random.Random) -> tuple[str, bytes]:
        name = f"n{next(self._numbers)}"
        octets = rng.randrange(LARGE) if rng.random() < 0.1 else rng.randrange(SMALL)
        content = letter(name, octets, rng)
        self.ledger.offer(name, content)
        return name, content

    def _some_users(self, rng: random.Random) -> list[str]:
        return [here(user) for user in rng.sample(USERS, rng.choice((1, 1, 1, 2, 5)))]

    def _inbound(self, rng: random.Random) -> None:
        """Another server: some letters in a session, one recipient may not exist."""
        with self.office.smtp() as client:
            for _ in range(rng.randrange(1, AT_A_TIME + 1)):
                to = self._some_users(rng)
                name, content = self._letter(rng)
                wrong = [here(NOBODY)] if rng.random() < 0.1 else []
                refused = client.sendmail(SENDER, [*wrong, *to], content)
                assert list(refused) == wrong, refused
                self.ledger.acknowledge(name, to)

    def _cut(self, rng: random.Random) -> None:
        """A client that goes in the middle of something, with a reset or not: nobody is to see its letter."""
        with Wire(self.office.port.smtp) as wire:
            if rng.random() < 0.2:
                wire.secure()
            replies = wire.envelope(SENDER, *self._some_users(rng))
            assert replies[-1].startswith("354"), replies
            _, content = self._letter(rng)
            wire.send(content[: rng.randrange(len(content))].replace(b"\r\n.", b"\r\n.."))
            if rng.random() < 0.5:
                wire.vanish()

    def _submission(self, rng: random.Random) -> None:
        """A user's mail program: TLS, a password, and letters for here and there."""
        user = rng.choice(USERS)
        if rng.random() < 0.5:
            client = self.office.submission(user)
        else:
            port = self.office.port.submissions
            client = smtplib.SMTP_SSL("127.0.0.1", port, "laptop.test", timeout=TIMEOUT, context=UNVERIFIED)
            client.login(here(user), PASSWORD)
        with client:
            for _ in range(rng.randrange(1, 3)):
                near = self._some_users(rng) if rng.random() < 0.5 else []
                far = [f"{name}@{FAR}" for name in rng.sample(("a", "b", "c"), rng.choice((0, 1, 3)))]
                bad = [f"{NOBODY}@{FAR}"] if rng.random() < 0.2 or not near + far else []
                name, content = self._letter(rng)
                assert client.sendmail(here(user), [*near, *far, *bad], content) == {}
                self.ledger.acknowledge(name, [*near, *far, *([BOUNCE] if bad else [])])

    def relayed(self) -> None:
        """What the next hop has got since the last call."""
        taken, self.sink.letters[:] = self.sink.letters[:], []
        self.sink.lines.clear()
        for each in taken:
            for recipient in each.recipients:
                self.ledger.see(each.content, recipient)

    # ---- POP3

    def _mailbox(self, user: str, rng: random.Random) -> poplib.POP3:
        if rng.random() < 0.7:
            client: poplib.POP3 = poplib.POP3_SSL(
                "127.0.0.1", self.office.port.pop3s, context=UNVERIFIED, timeout=TIMEOUT
            )
        else:
            client = poplib.POP3("127.0.0.1", self.office.port.pop3, TIMEOUT)
            if rng.random() < 0.5:
                client.stls(UNVERIFIED)
        client.user(here(user))
        client.pass_(PASSWORD)
        return client

    def _check(self, rng: random.Random) -> None:
        """What is there, and the beginning of the last letter; sometimes it goes without a word."""
        user = rng.choice(USERS)
        with self._mailboxes[user]:
            client = self._mailbox(user, rng)
            number, octets = client.stat()
            sizes = [int(line.split()[1]) for line in client.list()[1]]
            assert (len(sizes), sum(sizes)) == (number, octets), "LIST and STAT differ"
            assert len({line.split()[1] for line in client.uidl()[1]}) == number, "UIDL has other letters"
            if number:
                client.top(number, 3)
            if rng.random() < 0.3:
                client.dele(1) if number else None
                client.close()
                time.sleep(0.1)  # until the server has seen it: the mailbox is locked so long
            else:
                client.quit()

    def _fetch(self, rng: random.Random) -> None:
        self.empty(rng.choice(USERS), rng)

    def empty(self, user: str, rng: random.Random) -> int:
        """Fetch all, and remove it: what was removed counts as seen. Returns how much that was."""
        with self._mailboxes[user]:
            client = self._mailbox(user, rng)
            letters = []
            for number, octets in (map(int, line.split()) for line in client.list()[1]):
                content = b"\r\n".join([*client.retr(number)[1], b""])
                if len(content) != octets:
                    self.ledger.complain(f"{user}: LIST says {octets} octets, RETR {len(content)}")
                letters.append(content)
                client.dele(number)
            client.quit()
        for content in letters:
            self.ledger.see(content, here(user))
        self.counts["letters fetched"] += len(letters)
        return len(letters)


class Moods:
    """The next hop: now and then it defers, refuses or hangs up; NOBODY does not exist there."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def __call__(self, line: str) -> str | None:
        if line.startswith("RCPT") and f"<{NOBODY}@" in line:
            return "550 5.1.1 nobody of that name"
        if line.startswith("RCPT") and self._rng.random() < 0.05:
            return "451 4.2.0 come again"
        if line == "." and self._rng.random() < 0.02:
            raise HangUp(reset=self._rng.random() < 0.5)
        return None
