"""The load: clients that send letters by all ways, to everybody, over every crash."""

from __future__ import annotations

import itertools
import random
import subprocess
import threading
import time

from tests.crash.judge import HERE, RETURNED, SENT, THERE, Book, Place, Posting
from tests.crash.letters import letter
from tests.crash.remote import FINE, LATER, REFUSED
from tests.live.office import BIN, Office
from tests.live.wire import DOMAIN, Wire

CLIENTS = 4
LARGEST = 200_000  # octets
MOST = 20  # recipients
SERIES = 6  # letters of a connection, at most
PAUSE = 0.05  # seconds between letters, at most
RARELY = 10.0  # seconds between two processes
ABSENT = 0.1  # seconds until a client calls again where nobody is

SENDER = "sender"
USERS = [f"user{number}" for number in range(8)]
TEAM = ["user8", "user9"]
ACCOUNTS = [SENDER, *USERS, *TEAM]
ALIASES = f"team: {', '.join(TEAM)}\naway: away@far.test\n"

AWAY = "far.test"
#: By the address in RCPT, where the letter must be.
PLACES = {
    **{f"{user}@{DOMAIN}": [Place(HERE, f"{user}@{DOMAIN}")] for user in USERS},
    f"team@{DOMAIN}": [Place(HERE, f"{user}@{DOMAIN}") for user in TEAM],
    f"away@{DOMAIN}": [Place(THERE, f"away@{AWAY}")],
    **{f"{FINE}{number}@{AWAY}": [Place(THERE, f"{FINE}{number}@{AWAY}")] for number in range(8)},
    **{f"{LATER}{number}@{AWAY}": [Place(THERE, f"{LATER}{number}@{AWAY}")] for number in range(3)},
    **{f"{REFUSED}{number}@{AWAY}": [Place(RETURNED, f"{REFUSED}{number}@{AWAY}")] for number in range(3)},
}


class Gone(OSError):
    """The server hung up, or says that it must."""


class Load:
    """Threads of clients. A letter is sent once, whatever comes of it: the next one has another name."""

    def __init__(self, office: Office, book: Book, seed: str, by_sendmail: bool = True) -> None:
        self._office = office
        self._book = book
        self._numbers = itertools.count()
        self._ways = [self._one_by_one, self._kept_open, self._in_one_burst, self._submitted]
        if by_sendmail:
            self._ways.append(self._by_sendmail)
        self._next_process = 0.0
        self._running = True
        self._going = threading.Event()
        self._parked = threading.Semaphore(0)  #: one for each client that has seen the pause
        self._threads = [
            threading.Thread(target=self._client, args=(random.Random(f"{seed}-client{number}"),))
            for number in range(CLIENTS)
        ]
        for thread in self._threads:
            thread.start()
        self._all_parked()

    # ---- All clients

    @property
    def going(self) -> bool:
        return self._going.is_set()

    def go(self) -> None:
        self._going.set()

    def pause(self) -> None:
        """Until each client has ended what it is about."""
        self._going.clear()
        self._all_parked()

    def _all_parked(self) -> None:
        for _ in self._threads:
            self._parked.acquire()

    def close(self) -> None:
        """While it is paused."""
        self._running = False
        self._going.set()
        for thread in self._threads:
            thread.join()

    def _client(self, rng: random.Random) -> None:
        while self._running:
            if not self._going.is_set():
                self._parked.release()
                self._going.wait()
                continue
            try:
                rng.choice(self._ways)(rng)
            except OSError:
                time.sleep(ABSENT)

    # ---- Letters

    def _posting(self, rng: random.Random, saved: bool = False) -> Posting:
        octets = int(1000 * (LARGEST / 1000) ** rng.random())
        recipients = rng.sample(list(PLACES), min(MOST, int(1 + rng.expovariate(0.3))))
        places = {place for each in recipients for place in PLACES[each]}
        sender = f"{SENDER}@{DOMAIN}"
        if saved:
            places.add(Place(SENT, sender))
        posting = Posting(f"L{next(self._numbers)}", sender, recipients, frozenset(places), octets)
        self._book.begin(posting)
        return posting

    def _answered(self, posting: Posting, reply: str) -> None:
        self._book.answered(posting.name, reply[:3], time.time())
        self._expect(reply, "250")

    def _expect(self, reply: str, code: str) -> None:
        """While the disk refuses, 451 and 452 are right, and 421 when the server has to go."""
        if reply.startswith(code):
            return
        if reply[:3] in ("451", "452"):
            self._book.put_off(reply[:3])
        elif reply and reply[:3] != "421":
            self._book.strange.append(reply)
        raise Gone

    # ---- Ways

    def _one_by_one(self, rng: random.Random) -> None:
        """A message a connection, a command at a time."""
        posting = self._posting(rng)
        with Wire(self._office.port.smtp) as wire:
            for reply, code in zip(wire.envelope(posting.sender, *posting.recipients), _codes(posting), strict=True):
                self._expect(reply, code)
            wire.send(_stuffed(posting))
            self._answered(posting, wire.reply())
            wire.ask(b"QUIT")
        time.sleep(rng.uniform(0, PAUSE))

    def _kept_open(self, rng: random.Random) -> None:
        with Wire(self._office.port.smtp) as wire:
            self._expect(wire.ask(b"EHLO client.test"), "250")
            self._series(wire, rng)

    def _submitted(self, rng: random.Random) -> None:
        """A copy must be in the sender's Sent folder, too."""
        with Wire(self._office.port.submission) as wire:
            try:
                wire.login(SENDER)
            except AssertionError:
                raise Gone from None
            self._series(wire, rng, saved=True)

    def _series(self, wire: Wire, rng: random.Random, saved: bool = False) -> None:
        """Pipelined, one after the other."""
        for _ in range(rng.randint(1, SERIES)):
            posting = self._posting(rng, saved)
            wire.send(_envelope(posting) + b"DATA\r\n")
            for reply, code in [(wire.reply(), code) for code in _codes(posting)]:
                self._expect(reply, code)
            wire.send(_stuffed(posting))
            self._answered(posting, wire.reply())
            time.sleep(rng.uniform(0, PAUSE))

    def _in_one_burst(self, rng: random.Random) -> None:
        """All that there is to say, before the first answer is read. BDAT makes that possible."""
        postings = [self._posting(rng) for _ in range(rng.randint(1, SERIES))]
        with Wire(self._office.port.smtp) as wire:
            self._expect(wire.ask(b"EHLO client.test"), "250")
            wire.send(b"".join(_envelope(each) + _chunks(each, rng) for each in postings))
            for posting in postings:
                for _ in range(len(posting.recipients) + 1):
                    self._expect(wire.reply(), "250")
                self._expect(wire.reply(), "250")
                self._answered(posting, wire.reply())
        time.sleep(rng.uniform(0, PAUSE) * len(postings))

    def _by_sendmail(self, rng: random.Random) -> None:
        """A process of its own: exit code 0 is the acknowledgement. Some are enough, for it costs more than all else,
        and succeeds while no server runs."""
        if time.monotonic() < self._next_process:
            return
        self._next_process = time.monotonic() + RARELY
        posting = self._posting(rng)
        options = ["sendmail", "-i", "-f", posting.sender, "--", *posting.recipients]
        done = subprocess.run(
            [str(BIN / "mailstack"), "-c", str(self._office.ini), *options],
            input=letter(posting.name, posting.octets).replace(b"\r\n", b"\n"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self._book.answered(posting.name, "250" if done.returncode == 0 else "sendmail failed", time.time())
        if b"Traceback" in done.stderr:
            self._book.strange.append(done.stderr.decode()[-1000:])


def _codes(posting: Posting) -> list[str]:
    """The answers that an envelope and DATA should have."""
    return ["250"] * (len(posting.recipients) + 1) + ["354"]


def _envelope(posting: Posting) -> bytes:
    lines = [f"MAIL FROM:<{posting.sender}>", *(f"RCPT TO:<{each}>" for each in posting.recipients)]
    return "".join(f"{line}\r\n" for line in lines).encode()


def _stuffed(posting: Posting) -> bytes:
    return letter(posting.name, posting.octets).replace(b"\r\n.", b"\r\n..") + b".\r\n"


def _chunks(posting: Posting, rng: random.Random) -> bytes:
    """Two, for BDAT."""
    content = letter(posting.name, posting.octets)
    cut = rng.randrange(len(content))
    first, last = content[:cut], content[cut:]
    return b"BDAT %d\r\n%sBDAT %d LAST\r\n%s" % (len(first), first, len(last), last)
