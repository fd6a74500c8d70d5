"""POP3 as Twisted runs it: who waits for whom, what a lost connection leaves, what the log says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from io import BytesIO
from typing import Any, ParamSpec, TypeVar

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from mailstack.interfaces.accounts import Identity
from mailstack.model.reply import Reply
from mailstack.protocol.pop3_capabilities import Terms
from mailstack.server.connections import STRESS_TIMEOUT, Connections
from mailstack.server.fetched import letter_lines
from mailstack.server.pop3 import Listening, Pop3Factory
from tests.fakes import ListCounts
from tests.server.pop3_office import ALICE, Office
from tests.server.wire import Wire

P = ParamSpec("P")
T = TypeVar("T")

TIMEOUT = 600.0
LOGIN = b"USER alice\r\nPASS sesame\r\n"
LOGGED_IN = b"+OK\r\n+OK Logged in\r\n"


class Threads:
    """An ``in_thread`` that works when it is told to."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def __call__(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        done: Deferred[T] = Deferred()
        self.waiting.append(lambda: done.callback(function(*args, **kwargs)))
        return done

    def work(self) -> None:
        self.waiting.pop(0)()


class Service:
    """A factory with fakes all around."""

    def __init__(
        self, in_thread: Any = None, tls: Any = None, implicit: bool = False, per_client: int = 10, total: int = 100
    ) -> None:
        self.clock = Clock()
        self.fakes = Office()
        office = self.fakes.open()
        if in_thread is not None:
            office = evolve(office, in_thread=in_thread)
        self.factory = Pop3Factory(
            self.clock, Connections(total, per_client, ListCounts()), office, Listening(TIMEOUT, tls, implicit)
        )

    def connect(self, address: str = "127.0.0.1", slow: bool = False) -> Wire:
        return Wire(self.factory.buildProtocol(None), address, slow)

    @property
    def log(self) -> list[tuple[str, str, dict[str, object]]]:
        return self.fakes.log.lines

    @property
    def letters(self) -> list[bytes]:
        return list(self.fakes.mailboxes.letters[ALICE].values())

    def free(self) -> bool:
        return not self.fakes.mailboxes.in_use(ALICE)


@pytest.fixture
def service() -> Service:
    service = Service()
    service.fakes.mailboxes.add(ALICE, b"a: 1\n\none\n", b"a: 2\n\ntwo\n")
    return service


def test_session(service: Service) -> None:
    """Answers to what is pipelined leave together; QUIT removes, frees the mailbox and hangs up."""
    wire = service.connect()
    assert wire.said == b"+OK POP3 server ready\r\n"
    assert wire.send(LOGIN) == LOGGED_IN
    assert wire.send(b"DELE 1\r\nQUIT\r\n") == b"+OK Message 1 will be deleted\r\n+OK Good bye\r\n"
    assert wire.disconnecting
    assert service.letters == [b"a: 2\n\ntwo\n"]
    assert service.free()


WHOSE = {"user": "<alice@office.test>", "rip": "127.0.0.1"}


def test_log_of_a_session(service: Service) -> None:
    """Who came in from where, and at the end what was done, in Dovecot's terms."""
    wire = service.connect()
    wire.send(LOGIN + b"RETR 1\r\nTOP 2 0\r\nDELE 1\r\nQUIT\r\n")
    wire.lose()
    assert service.log == [
        (
            "event",
            "pop3-login",
            {"what": "Login:", "user": "<alice@office.test>", "method": "PLAIN", "rip": "127.0.0.1"},
        ),
        ("detail", "pop3", {"what": "Topped:", **WHOSE, "said": "RETR TOP DELE QUIT", "ids": "2"}),
        ("detail", "pop3", {"what": "Fetched:", **WHOSE, "said": "RETR TOP DELE QUIT", "ids": "1"}),
        ("detail", "pop3", {"what": "Deleted:", **WHOSE, "said": "RETR TOP DELE QUIT", "ids": "1"}),
        (
            "event",
            "pop3",
            {
                "what": "Disconnected: Logged out",
                "top": "1/8",
                "retr": "1/13",
                "del_": "1/2",
                "size": "26",
                **WHOSE,
            },
        ),
    ]


def test_log_names_the_folder(service: Service) -> None:
    wire = service.connect()
    wire.send(b"USER alice+Junk\r\nPASS sesame\r\n")
    wire.lose()
    service.connect().send(b"USER alice/Nope\r\nPASS sesame\r\n")
    users = ["<alice@office.test/Junk>"] * 2 + ["<alice@office.test/Nope>"]
    assert [fields["user"] for _, _, fields in service.log] == users
    assert service.log[-1][2]["what"] == "Login put off:"  # no failure for fail2ban: the password was right


def test_each_folder_has_one_session_of_its_own(service: Service) -> None:
    """Foxmail asks for all its accounts at the same time."""
    inbox, junk, again = (service.connect() for _ in range(3))
    assert inbox.send(LOGIN).endswith(b"+OK Logged in\r\n")
    assert junk.send(b"USER alice/Junk\r\nPASS sesame\r\n").endswith(b"+OK Logged in\r\n")
    assert b"[IN-USE]" in again.send(b"USER alice@office.test/Junk\r\nPASS sesame\r\n")


def test_log_of_a_failed_login(service: Service) -> None:
    """With the client's address, for fail2ban, and without the password."""
    service.connect().send(b"USER mallory\r\nPASS guess\r\n")
    assert service.log == [
        (
            "event",
            "pop3-login",
            {
                "what": "Login failed:",
                "user": "<mallory>",
                "method": "PLAIN",
                "rip": "127.0.0.1",
                "reply": "-ERR [AUTH] The name or the password is wrong",
            },
        ),
    ]


def test_busy_mailbox_is_no_failed_login(service: Service) -> None:
    """fail2ban must not shut out somebody with two programs."""
    service.connect().send(LOGIN)
    assert service.connect().send(LOGIN).startswith(b"+OK\r\n-ERR [IN-USE] ")
    assert service.log[-1][2]["what"] == "Login put off:"


def test_lost_connection_removes_nothing(service: Service) -> None:
    """RFC 1939 §6: without QUIT there is no UPDATE state."""
    wire = service.connect()
    wire.send(LOGIN + b"DELE 1\r\n")
    wire.lose()
    assert len(service.letters) == 2
    assert service.free()
    assert service.log[-1][2]["what"] == "Disconnected: Connection closed"
    assert service.log[-1][2]["del_"] == "0/2"


def test_silent_client_is_left_without_a_word(service: Service) -> None:
    """RFC 1939 §3: the autologout timer removes nothing and says nothing. A command starts it anew."""
    wire = service.connect()
    wire.send(LOGIN + b"DELE 1\r\n")
    service.clock.advance(TIMEOUT - 1)
    wire.send(b"NOOP\r\n")
    service.clock.advance(TIMEOUT - 1)
    assert not wire.disconnecting
    service.clock.advance(1)
    assert wire.disconnecting
    assert wire.read() == b""
    wire.lose()
    assert len(service.letters) == 2
    assert service.free()
    assert service.log[-1][2]["what"] == "Disconnected: Inactivity"
    assert not service.clock.getDelayedCalls()


def test_commands_wait_for_the_mailbox() -> None:
    """While it is opened in a thread, nothing that was pipelined is looked at."""
    threads = Threads()
    service = Service(threads)
    wire = service.connect()
    assert wire.send(LOGIN + b"STAT\r\n") == b""
    assert wire.send(b"QUIT\r\n") == b""
    threads.work()
    assert wire.read() == LOGGED_IN + b"+OK 0 0\r\n+OK Good bye\r\n"


def test_client_that_leaves_while_its_mailbox_is_opened() -> None:
    """The mailbox is not left locked."""
    threads = Threads()
    service = Service(threads)
    wire = service.connect()
    wire.send(LOGIN)
    wire.lose()
    threads.work()
    assert service.free()


def test_client_that_leaves_while_letters_are_removed() -> None:
    """It said QUIT: they are removed, and the next session waits for that."""
    threads = Threads()
    service = Service(threads)
    service.fakes.mailboxes.add(ALICE, b"x\n")
    wire = service.connect()
    wire.send(LOGIN)
    threads.work()
    wire.send(b"DELE 1\r\nQUIT\r\n")
    wire.lose()
    assert not service.free()
    threads.work()
    assert service.letters == []
    assert service.free()
    assert service.log[-1][2]["del_"] == "1/1"


def test_large_letter_is_read_as_fast_as_the_client_reads(service: Service) -> None:
    """However large it is, only some pieces of it are in memory."""
    letter = b"a: b\n\n" + b"x" * 99 + b"\n.\n" * 100_000
    service.fakes.mailboxes.letters[ALICE] = {"1": letter}
    wire = service.connect(slow=True)
    wire.send(LOGIN + b"RETR 1\r\nNOOP\r\n")
    while wire.value():
        wire.read()
    assert wire.most < 4 * 64 * 1024
    content, _, after = wire.said.partition(b" octets\r\n")[2].partition(b"\r\n.\r\n")
    assert content.replace(b"\r\n.", b"\r\n").replace(b"\r\n", b"\n") + b"\n" == letter
    assert after == b"+OK\r\n"
    assert service.log[-1][0] == "event"


def test_pipelined_letters_are_bounded_too(service: Service) -> None:
    """Many small ones are not gathered without limit."""
    service.fakes.mailboxes.letters[ALICE] = {"1": b"x" * 50_000}
    wire = service.connect(slow=True)
    wire.send(LOGIN + b"RETR 1\r\n" * 50)
    assert wire.most < 4 * 64 * 1024
    while wire.value():
        wire.read()
    assert wire.said.count(b"\r\n.\r\n") == 50


def test_client_that_leaves_in_the_middle_of_a_letter(service: Service) -> None:
    """The rest of it is not read, its file is closed, the mailbox is free."""
    service.fakes.mailboxes.letters[ALICE] = {"1": b"x\n" * 500_000}
    wire = service.connect(slow=True)
    wire.send(LOGIN + b"RETR 1\r\n")
    wire.lose()
    assert service.free()
    assert 0 < int(str(service.log[-1][2]["retr"]).partition("/")[2]) < 500_000


def test_dripping_buys_no_time(service: Service) -> None:
    """Of a command that does not end."""
    wire = service.connect()
    wire.send(LOGIN)
    for _ in range(int(TIMEOUT / 100)):
        wire.send(b"NOOP ")
        service.clock.advance(100)
    assert wire.disconnecting


def test_little_patience_for_strangers_when_many_are_here() -> None:
    """Who has logged in keeps the time that RFC 1939 §3 grants."""
    service = Service(total=4)
    user = service.connect()
    user.send(LOGIN)
    strangers = [service.connect() for _ in range(3)]
    service.clock.advance(STRESS_TIMEOUT)
    assert [wire.disconnecting for wire in strangers] == [True] * 3
    assert not user.disconnecting


def test_tls_on_the_plain_port_is_logged(service: Service) -> None:
    """The most common mistake in the settings of a mail program."""
    wire = service.connect()
    assert wire.send(b"\x16\x03\x01").startswith(b"-ERR [SYS/PERM] This port begins in plain")
    assert wire.disconnecting
    assert "set the program to STLS" in str(service.log)


def test_client_that_stops_reading_is_cut_off(service: Service) -> None:
    service.fakes.mailboxes.letters[ALICE] = {"1": b"x\n" * 500_000}
    wire = service.connect(slow=True)
    wire.send(LOGIN + b"RETR 1\r\n")
    service.clock.advance(TIMEOUT)
    assert wire.aborted
    assert service.free()


class Scratched(BytesIO):
    """A file with a bad block at its second piece."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell():
            raise OSError(5, "Input/output error")
        return super().read(size)


def test_letter_that_breaks_off_is_not_taken_for_complete(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """After +OK only a cut connection can say so: no final dot is sent."""
    wire = service.connect()
    wire.send(LOGIN)
    monkeypatch.setattr("tests.maildir.memory.BytesIO", Scratched)
    service.fakes.mailboxes.letters[ALICE]["uid-1"] = b"x\n" * 100_000
    wire.send(b"RETR 1\r\n")
    assert wire.aborted
    assert not wire.said.endswith(b".\r\n")
    assert [line[0] for line in service.log] == ["event", "warn", "event"]
    assert "could not be read" in str(service.log[-1][2]["what"])
    assert service.free()


def test_nothing_behind_a_letter_that_breaks_off_is_looked_at(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DELE and QUIT would remove what the client has not got, for the connection is gone a moment later only."""
    wire = service.connect()
    wire.send(LOGIN)
    monkeypatch.setattr("tests.maildir.memory.BytesIO", Scratched)
    monkeypatch.setattr(wire, "abortConnection", lambda: setattr(wire, "aborted", True))
    service.fakes.mailboxes.letters[ALICE]["uid-1"] = b"x\n" * 100_000
    wire.send(b"RETR 1\r\nDELE 1\r\nQUIT\r\n")
    assert wire.aborted
    wire.lose()
    assert len(service.letters) == 2
    assert "could not be read" in str(service.log[-1][2]["what"])


def test_letter_that_another_program_moved_is_looked_for_in_a_thread() -> None:
    """And nothing overtakes it."""
    threads = Threads()
    service = Service(in_thread=threads)
    service.fakes.mailboxes.add(ALICE, b"a: 1\n\none\n", b"a: 2\n\ntwo\n")
    wire = service.connect()
    wire.send(LOGIN)
    threads.work()
    service.fakes.mailboxes.moved.add("uid-1")
    wire.read()
    assert wire.send(b"RETR 1\r\nNOOP\r\n") == b""
    threads.work()
    assert wire.read() == b"+OK 13 octets\r\na: 1\r\n\r\none\r\n.\r\n+OK\r\n"


def test_disk_that_refuses_another_look(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(mailbox: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("tests.maildir.memory.MemoryMailbox.look_again", refuse)
    wire = service.connect()
    wire.send(LOGIN)
    service.fakes.mailboxes.moved.add("uid-1")
    assert wire.send(b"RETR 1\r\n").startswith(b"-ERR [SYS/TEMP] ")
    assert service.log[-1][2]["note"] == "[Errno 5] Input/output error"


def test_letter_that_another_program_removed(service: Service) -> None:
    wire = service.connect()
    wire.send(LOGIN)
    del service.fakes.mailboxes.letters[ALICE]["uid-1"]
    assert wire.send(b"RETR 1\r\nRETR 2\r\n").startswith(b"-ERR Another program has removed that message\r\n+OK ")


def test_stls() -> None:
    """TLS starts after the answer; then a password may come from anywhere, and the log says so."""
    context = object()
    service = Service(tls=context)
    wire = service.connect("192.0.2.7")
    assert wire.send(LOGIN).startswith(b"-ERR [AUTH] ")
    assert wire.send(b"STLS\r\n") == b"+OK Begin TLS negotiation\r\n"
    assert wire.tls is context
    wire.shake_hands()
    assert wire.send(LOGIN) == LOGGED_IN
    assert service.log[-1][2]["tls"] == "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384"


INJECTION = b"CAPA\r\nSTLS\r\nUSER mallory\r\nPASS x\r\n"
PLAIN = INJECTION.index(b"USER")  # octets that may come in plain


@pytest.mark.parametrize("cut", range(1, len(INJECTION)))
def test_octets_behind_stls_however_the_stream_is_cut(cut: int) -> None:
    """Those in the segment with STLS end the session; those in one of their own are for TLS, which they are not."""
    service = Service(tls=object())
    wire = service.connect()
    for piece in (INJECTION[:cut], INJECTION[cut:]):
        if wire.tls is None:
            wire.send(piece)
    assert (wire.tls is not None) == (cut == PLAIN)
    assert wire.disconnecting == (cut != PLAIN)
    assert wire.said.endswith(b"-ERR Nothing may follow STLS before its answer\r\n") == (cut != PLAIN)


def test_user_is_forgotten_with_stls() -> None:
    """The name was said in plain: the password that follows belongs to nobody."""
    wire = Service(tls=object()).connect()
    wire.send(b"USER alice\r\n")
    wire.send(b"STLS\r\n")
    wire.shake_hands()
    assert wire.send(b"PASS sesame\r\n") == b"-ERR USER comes first\r\n"


def test_injection_after_stls() -> None:
    service = Service(tls=object())
    wire = service.connect()
    assert wire.send(b"STLS\r\nUSER mallory\r\n") == b"-ERR Nothing may follow STLS before its answer\r\n"
    assert wire.disconnecting
    assert wire.tls is None


def test_implicit_tls() -> None:
    service = Service(implicit=True)
    assert service.connect("192.0.2.7").send(LOGIN) == LOGGED_IN


def test_too_many_connections() -> None:
    service = Service(per_client=1)
    first = service.connect()
    second = service.connect()
    assert second.said == b"-ERR [SYS/TEMP] Too many connections, try again later\r\n"
    assert second.disconnecting
    second.lose()
    first.lose()
    assert service.connect().said.startswith(b"+OK ")


def test_server_that_stops(service: Service) -> None:
    """Nothing is removed; the client hears that it may come back."""
    wire = service.connect()
    wire.send(LOGIN + b"DELE 1\r\n")
    wire.protocol.stop()
    assert wire.read() == b"-ERR [SYS/TEMP] The server stops, try again later\r\n"
    wire.lose()
    assert len(service.letters) == 2
    assert service.log[-1][2]["what"] == "Disconnected: Server stops"


def test_bug_is_an_answer_and_a_traceback(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The session goes on."""

    async def broken(name: str, password: str, client: str, authzid: str) -> Identity | Reply:
        raise RuntimeError("a bug")

    monkeypatch.setattr(service.fakes.doorman, "login", broken)
    wire = service.connect()
    assert wire.send(LOGIN) == b"+OK\r\n-ERR [SYS/TEMP] Internal error, try again later\r\n"
    assert service.log == [("failure", "pop3", {"note": "Login('alice'): RuntimeError('a bug')"})]
    assert wire.send(b"CAPA\r\n").startswith(b"+OK ")


def test_login_that_comes_too_soon_is_counted() -> None:
    """For ``mailstack limits``; and it is no failure for fail2ban."""
    service = Service()
    service.fakes.terms = Terms(login_delay=60)
    office = service.fakes.open()
    listening = Listening(TIMEOUT, None, False)
    service.factory = Pop3Factory(service.clock, Connections(10, 10, ListCounts()), office, listening)
    service.connect().send(LOGIN + b"QUIT\r\n")
    assert b"\r\n-ERR [LOGIN-DELAY] " in service.connect().send(LOGIN)
    assert office.counts.strikes == [("login_delay", "127.0.0.1")]
    assert service.log[-1][2]["what"] == "Login put off:"
    assert service.connect("127.0.0.2").send(LOGIN) == LOGGED_IN


@pytest.mark.parametrize(("first", "then"), [("alice", "alice/inbox"), ("alice/INBOX", "alice+Inbox")])
def test_login_delay_is_the_same_however_a_mailbox_is_called(first: str, then: str) -> None:
    """Else each spelling would be one more log-in, and one more place in the memory of the delay."""
    service = Service()
    service.fakes.terms = Terms(login_delay=60)
    listening = Listening(TIMEOUT, None, False)
    office = service.fakes.open()
    service.factory = Pop3Factory(service.clock, Connections(10, 10, ListCounts()), office, listening)
    assert service.connect().send(f"USER {first}\r\nPASS sesame\r\nQUIT\r\n".encode()).count(b"+OK") == 3
    assert b"\r\n-ERR [LOGIN-DELAY] " in service.connect().send(f"USER {then}\r\nPASS sesame\r\n".encode())


def test_inbox_is_the_inbox_under_its_own_name(service: Service) -> None:
    """Its messages expire, and so it says."""
    service.fakes.terms = Terms(expire=30)
    office, listening = service.fakes.open(), Listening(TIMEOUT, None, False)
    service.factory = Pop3Factory(service.clock, Connections(10, 10, ListCounts()), office, listening)
    wire = service.connect()
    wire.send(b"USER alice/Inbox\r\nPASS sesame\r\n")
    assert b"EXPIRE 30\r\n" in wire.send(b"CAPA\r\n")
    assert service.log[-1][2]["user"] == "<alice@office.test>"


def test_many_commands_at_once_let_others_have_their_turns(service: Service) -> None:
    """Also those of a stranger: 10,000 come with one read."""
    flood = service.connect()
    flood.protocol.dataReceived(b"CAPA\r\n" * 1000)
    flood.protocol.flush()
    assert flood.value().count(b"+OK") < 100
    assert flood.read().count(b"\r\n.\r\n") == 1000
    assert flood.send(b"QUIT\r\n").startswith(b"+OK")


def test_many_commands_and_a_client_that_goes(service: Service) -> None:
    flood = service.connect()
    flood.protocol.dataReceived(LOGIN + b"NOOP\r\n" * 1000)
    flood.lose()
    service.clock.advance(0)
    assert not service.fakes.mailboxes.in_use(ALICE)
    assert not service.clock.getDelayedCalls()


@pytest.mark.parametrize("end", [b"QUIT\r\n", b""])
def test_many_letters_are_noted_outside_of_the_reactors_thread(service: Service, end: bytes) -> None:
    """Else one session of 100,000 would hold up all others when it ends; none is forgotten."""
    looks: list[int] = []

    async def in_thread(function: Any, *arguments: Any) -> Any:
        if function is letter_lines:
            looks.append(len(arguments[1]))
        return function(*arguments)

    office, listening = evolve(service.fakes.open(), in_thread=in_thread), Listening(TIMEOUT, None, False)
    service.factory = Pop3Factory(service.clock, Connections(10, 10, ListCounts()), office, listening)
    service.fakes.mailboxes.add(ALICE, *[b"x\n"] * 2500)
    count = len(service.fakes.mailboxes.letters[ALICE])
    wire = service.connect()
    wire.send(LOGIN + b"".join(b"TOP %d 0\r\n" % number for number in range(1, count + 1)) + end)
    wire.lose()
    assert (len(looks), sum(looks)) == (3, count)
    topped = [fields for _, _, fields in service.log if fields.get("what") == "Topped:"]
    told = sum(len(str(each.get("ids", "")).split()) + int(each.get("others", 0)) for each in topped)
    assert told == count
    assert not service.fakes.mailboxes.in_use(ALICE)


def test_name_is_no_field_of_the_log(service: Service) -> None:
    """fail2ban would shut out whom a guesser chooses."""
    service.connect().send(b"USER x>, rip=192.0.2.9, y=<\r\nPASS guess\r\n")
    (_, _, fields) = service.log[-1]
    assert (fields["user"], fields["rip"]) == ("<x?, rip?192.0.2.9, y??>", "127.0.0.1")


def test_listing_in_many_pieces_lets_others_have_their_turns(service: Service) -> None:
    """Each second letter is marked."""
    service.fakes.mailboxes.add(ALICE, *[b"x\n"] * 1000)
    wire = service.connect()
    wire.send(LOGIN + b"".join(b"DELE %d\r\n" % number for number in range(1, 1000, 2)))
    wire.protocol.dataReceived(b"LIST\r\n")
    wire.protocol.flush()
    assert wire.value().count(b"\n") < 100
    assert wire.read().endswith(b"\r\n.\r\n")


def test_texts_of_the_shell_are_translated(service: Service) -> None:
    wire = service.connect()
    wire.send(b"LANG zh\r\n")
    wire.protocol.stop()
    assert not wire.read().isascii()
