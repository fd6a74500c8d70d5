"""Connections to other servers: how many there are for many letters, and what comes of those that die."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.live.conftest import MakeOffice, next_hop
from tests.live.dovecot import lmtp_store
from tests.live.fake_server import certificate
from tests.live.office import Office, Sections
from tests.live.ports import free_ports
from tests.live.postfix import Postfix
from tests.live.sink import DATA_BEGINS, TAKEN, Answer, HangUp, Sink, refuse
from tests.live.test_next_hop import smtp_sink
from tests.live.test_queue import bounce_in, deferred
from tests.live.waiting import eventually

MANY = 50
LARGE = 4 * 1_024 * 1_024  # octets: more than the sockets' buffers hold


def burst(office: Office, count: int = MANY, domain: str = "away.test", size: int = 0) -> None:
    """Letters with numbers, as fast as they are taken."""
    with office.submission("alice") as client:
        for number in range(count):
            text = f"From: alice@office.test\r\nSubject: number {number}\r\n\r\n" + "x" * 70 + "\r\n"
            text += ("y" * 998 + "\r\n") * (size // 1_000)
            client.sendmail("alice@office.test", [f"x@{domain}"], text)


def numbers(sink: Sink) -> list[int]:
    """Of those that came, each as often as it came."""
    found = [re.search(rb"Subject: number (\d+)", letter.content) for letter in sink.letters]
    return sorted(int(match[1]) for match in found if match)


def to(hop: Sections, **queue: str) -> Sections:
    """At most two connections at a time; who is deferred stays so."""
    return {**hop, "queue": {"retry": "1h", "concurrency_per_destination": "2", **queue}}


def uses(office: Office) -> list[int]:
    """What the log says of each delivery: which letter on its connection it was."""
    lines = office.logged("status=sent")
    return [int(match[1]) if (match := re.search(r" conn_use=(\d+),", line)) else 1 for line in lines]


def each_once(office: Office, sink: Sink, count: int) -> None:
    """All have arrived, each once; none had to wait for a second attempt."""
    office.wait_for_empty_queue()
    assert numbers(sink) == list(range(count))
    assert office.logged("status=deferred") == []


def per_session(answer: Callable[[str, int], str | None]) -> Answer:
    """``answer`` knows how many letters were taken in this session, each of which has its thread."""
    session = threading.local()

    def as_told(line: str) -> str | None:
        if line.upper().startswith("EHLO"):
            session.taken = 0
        session.taken += line == TAKEN
        return answer(line, session.taken)

    return as_told


def test_many_letters_on_few_connections(make_office: MakeOffice, sink: Sink) -> None:
    before = sink.connections
    office = make_office(to(next_hop(sink))).start()
    burst(office)
    each_once(office, sink, MANY)
    assert sink.connections - before <= 4  # two at a time; a pause of the machine may end a rest
    found = uses(office)
    assert max(found) > 10
    assert found.count(1) == sink.connections - before
    line = office.logged("conn_use=2,")[0]
    assert re.search(
        r"relay=127\.0\.0\.1\[127\.0\.0\.1\]:\d+, conn_use=2, delay=[\d.]+, delays=[\d.]+/[\d.]+/0\.00/", line
    )
    assert eventually(lambda: len(sink.times("QUIT")) >= 1)


def test_smtp_sink(make_office: MakeOffice) -> None:
    """The same with Postfix's test server."""
    (port,) = free_ports(1)
    office = make_office(to({"routes": {"*": f"smtp:[127.0.0.1]:{port}"}})).start()
    with smtp_sink(port):
        burst(office)
        office.wait_for_empty_queue()
    found = uses(office)
    assert len(found) == MANY
    assert found.count(1) <= 4


def test_postfix(make_office: MakeOffice, open_folder: Path) -> None:
    """With TLS: most letters need no handshake."""
    certificate(open_folder, "mx.away.test")
    postfix = Postfix(open_folder / "postfix", open_folder / "server.pem")
    office = make_office(to({"routes": {"*": f"smtp:[127.0.0.1]:{postfix.port}"}})).start()
    with postfix:
        burst(office)
        office.wait_for_empty_queue()
        assert eventually(lambda: len(postfix.letters()) == MANY)
        log = (postfix.root / "log").read_text()
    connections = log.count(": connect from")
    assert connections <= 4
    found = uses(office)
    assert len(found) == MANY
    assert found.count(1) == connections


def test_server_that_closes_after_each_letter(make_office: MakeOffice, sink: Sink) -> None:
    def answer(line: str, taken: int) -> str | None:
        if line == TAKEN:
            raise HangUp
        return None

    sink.answer = per_session(answer)
    office = make_office(to(next_hop(sink))).start()
    burst(office, 20)
    each_once(office, sink, 20)


def test_server_that_takes_one_letter_and_is_silent_about_it(make_office: MakeOffice, sink: Sink) -> None:
    """It resets the connection at the second MAIL."""

    def answer(line: str, taken: int) -> str | None:
        if line.startswith("MAIL") and taken:
            raise HangUp(reset=True)
        return None

    sink.answer = per_session(answer)
    office = make_office(to(next_hop(sink))).start()
    burst(office, 20)
    each_once(office, sink, 20)


@pytest.mark.parametrize("when", ["MAIL", "RCPT", "DATA", TAKEN])
def test_server_that_says_421_between_letters(make_office: MakeOffice, sink: Sink, when: str) -> None:
    """After each second one, at any command of the next or on its own."""

    def answer(line: str, taken: int) -> str | None:
        return "421 4.7.0 enough for now" if line.startswith(when) and taken == 2 else None

    sink.answer = per_session(answer)
    office = make_office(to(next_hop(sink))).start()
    burst(office, 20)
    each_once(office, sink, 20)


def test_server_that_closes_what_is_idle(make_office: MakeOffice) -> None:
    """Before we do."""
    with Sink() as sink:
        sink.idle = 0.3
        office = make_office(to(next_hop(sink))).start()
        for _ in range(3):
            burst(office, 1)
            office.wait_for_empty_queue()
            assert eventually(lambda: len(office.logged("removed")) == len(sink.letters))
            threading.Event().wait(0.6)
        assert len(sink.letters) == sink.connections == 3
        assert office.logged("status=deferred") == []
        assert sink.times("QUIT") == []


def test_reset_in_the_middle_of_the_message(make_office: MakeOffice, sink: Sink) -> None:
    """On a connection that was used before: it goes again at once, and is there once."""
    resets: list[int] = []

    def answer(line: str, taken: int) -> str | None:
        if line == DATA_BEGINS and taken == 1 and len(resets) < 3:
            resets.append(taken)
            raise HangUp(reset=True)
        return None

    sink.answer = per_session(answer)
    office = make_office(to(next_hop(sink), concurrency_per_destination="1")).start()
    burst(office, 8, size=LARGE)
    each_once(office, sink, 8)
    assert len(resets) == 3


def test_reset_after_the_message(make_office: MakeOffice, sink: Sink) -> None:
    """Nobody knows whether it is there, so it waits: this one may come twice, but not now."""

    def answer(line: str, taken: int) -> str | None:
        if line == "." and taken == 1:
            raise HangUp(reset=True)
        return None

    sink.answer = per_session(answer)
    office = make_office(to(next_hop(sink), concurrency_per_destination="1")).start()
    burst(office, 2)
    deferred(office)
    assert numbers(sink) == [0]
    assert office.queue()[0]["recipients"][0]["attempts"] == 1


def test_recipients_too_many(make_office: MakeOffice, sink: Sink) -> None:
    """A server that takes five at a time gets all of them at once, one transaction after the other."""
    session = threading.local()

    def five(line: str) -> str | None:
        if line.startswith("MAIL"):
            session.count = 0
        if line.startswith("RCPT"):
            session.count += 1
            return "452 4.5.3 Too many recipients" if session.count > 5 else None
        return None

    before = sink.connections
    sink.answer = five
    office = make_office(to(next_hop(sink))).start()
    everyone = [f"x{number}@away.test" for number in range(12)]
    with office.submission("alice") as client:
        client.sendmail("alice@office.test", everyone, "From: alice@office.test\r\n\r\nhello\r\n")
    office.wait_for_empty_queue()
    assert sorted(name for letter in sink.letters for name in letter.recipients) == sorted(everyone)
    assert [len(letter.recipients) for letter in sink.letters] == [5, 5, 2]
    assert sink.connections - before == 1
    assert office.logged("status=deferred") == []


def test_greylisting_is_asked_anew_each_time(make_office: MakeOffice, sink: Sink) -> None:
    """A refused letter is no reason to hang up, many are."""
    sink.answer = refuse("RCPT", "450 4.7.1 Greylisted")
    before = sink.connections
    office = make_office(to(next_hop(sink), concurrency_per_destination="1")).start()
    burst(office, 6)
    deferred(office, 6)
    assert sink.connections - before == 2
    assert len(sink.times("RSET")) == 4


def test_the_server_stops_while_connections_rest(make_office: MakeOffice, sink: Sink) -> None:
    """They are closed as they should be, and it does not take long."""
    office = make_office(to(next_hop(sink))).start()
    burst(office, 1)
    office.wait_for_empty_queue()
    office.stop()
    assert eventually(lambda: len(sink.times("QUIT")) == 1)


# ---- LMTP


@pytest.mark.parametrize("over", ["tcp", "socket"])
def test_dovecot(make_office: MakeOffice, open_folder: Path, over: str) -> None:
    """Each recipient has its own fate: two get it, one has no room, one does not exist."""
    with lmtp_store(open_folder / "store") as store:
        hop = f"lmtp:127.0.0.1:{store.port}" if over == "tcp" else f"lmtp:unix:{store.socket}"
        office = make_office(to({"routes": {"store.test": hop}})).start()
        everyone = [f"{name}@store.test" for name in ("alice", "bob", "full", "nobody")]
        with office.submission("alice") as client:
            client.sendmail("alice@office.test", everyone, "From: alice@office.test\r\n\r\n.hello\r\n")
        office.wait_for_empty_queue()
        for name in ("alice", "bob"):
            (letter,) = store.letters(name)
            assert letter.read_bytes().endswith(b"\n\n.hello\n")
        assert store.letters("full") == []
    (path,) = office.wait_for_files("alice")
    _, fates, _ = bounce_in(path).iter_parts()
    told = {part["Final-Recipient"].partition(";")[2].strip(): part["Status"] for part in fates.get_payload()[1:]}
    assert told == {"full@store.test": "5.2.2", "nobody@store.test": "5.1.1"}
    relay = f"127.0.0.1[127.0.0.1]:{store.port}" if over == "tcp" else f"localhost[{store.socket}]"
    assert len(office.logged("status=sent", f"relay={relay},")) == 2
    assert len(office.logged("status=bounced", f"relay={relay},")) == 2


def test_many_letters_to_dovecot(make_office: MakeOffice, open_folder: Path) -> None:
    """Its LMTP, too, is called once for many."""
    with lmtp_store(open_folder / "store") as store:
        office = make_office(to({"routes": {"store.test": f"lmtp:127.0.0.1:{store.port}"}})).start()
        with office.submission("alice") as client:
            for number in range(20):
                client.sendmail("alice@office.test", ["bob@store.test"], f"Subject: {number}\r\n\r\nhello\r\n")
        office.wait_for_empty_queue()
        assert len(store.letters("bob")) == 20
    assert uses(office).count(1) <= 4
