"""What aliases send on to other servers: it gets there, its bounces find the way back, and loops end."""

from __future__ import annotations

import re
import smtplib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from email.message import EmailMessage
from pathlib import Path
from time import time

import pytest

from mailstack.model.address import Address
from mailstack.protocol.srs import Srs
from tests.live.fake_server import certificate
from tests.live.office import Office
from tests.live.postfix import Postfix
from tests.live.programs import run
from tests.live.sink import Sink, refuse
from tests.live.test_queue import bounce_in, deferred
from tests.live.test_waiting import Dialup
from tests.live.waiting import eventually
from tests.live.wire import PASSWORD, UNVERIFIED, Wire

LETTER = "From: bob@sender.test\r\nTo: away@office.test\r\nSubject: forwarded\r\n\r\nHello.\r\n"
RETURN = re.compile(r"SRS0=[A-Z2-7]{8}=[A-Z2-7]{2}=sender\.test=bob@office\.test")


class Server(Office):
    """One for ``domain``, in a folder of its own."""

    def __init__(self, root: Path, domain: str) -> None:
        self.domain = domain
        root.mkdir()
        super().__init__(root)

    def begin(self, aliases: str, routes: Mapping[str, int], **accounts: str) -> None:
        """``routes`` are domains and ports."""
        self.configure(
            {
                "server": {"hostname": f"mail.{self.domain}", "domains": self.domain},
                "accounts": accounts,
                "routes": {to: f"smtp:[127.0.0.1]:{port}" for to, port in routes.items()},
            }
        )
        self.aliases.write_text(aliases)
        self.start()


MakeServer = Callable[[str], Server]


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[MakeServer]:
    """``make_server("office.test")``: not started yet."""
    with ExitStack() as stack:

        def make(domain: str) -> Server:
            made = Server(tmp_path / domain, domain)
            stack.callback(made.close)
            return made

        yield make


@pytest.fixture
def ours(make_server: MakeServer) -> Server:
    return make_server("office.test")


@pytest.fixture
def theirs(make_server: MakeServer, ours: Server) -> Server:
    """Where Bob is; his mail for office.test goes to ours."""
    made = make_server("sender.test")
    made.begin("", {"office.test": ours.port.smtp})
    made.cli("user", "add", "bob@sender.test", "--password-stdin", input=f"{PASSWORD}\n")
    return made


@pytest.fixture
def postfix(open_folder: Path) -> Postfix:
    """For away.test, whose users are x and gone; its own mail goes where :func:`route` says."""
    certificate(open_folder, "mx.away.test")
    tables = {
        "transport_maps": "texthash:{root}/conf/transport",
        "virtual_alias_maps": "texthash:{root}/conf/aliases",
        "smtp_tls_security_level": "none",
    }
    made = Postfix(open_folder / "postfix", open_folder / "server.pem", tables)
    (made.conf / "mailboxes").write_text("x@away.test x/\ngone@away.test gone/\n")
    (made.conf / "transport").touch()
    (made.conf / "aliases").touch()
    return made


def route(postfix: Postfix, routes: dict[str, int]) -> None:
    lines = [f"{to} smtp:[127.0.0.1]:{port}\n" for to, port in routes.items()]
    (postfix.conf / "transport").write_text("".join(lines))


def mail(server: Office, recipient: str, sender: str = "bob@sender.test", letter: str = LETTER) -> None:
    with server.smtp() as client:
        client.sendmail(sender, [recipient], letter)


def submit(server: Office, recipient: str) -> None:
    """Bob, from his own server."""
    with smtplib.SMTP("127.0.0.1", server.port.submission, "laptop.test", timeout=30) as client:
        client.starttls(context=UNVERIFIED)
        client.login("bob@sender.test", PASSWORD)
        client.sendmail("bob@sender.test", [recipient], LETTER)


def bobs(server: Office) -> list[EmailMessage]:
    return [bounce_in(path) for path in sorted(server.data.glob("mail/sender.test/bob/new/*"))]


def wait_for_bob(server: Office) -> EmailMessage:
    assert eventually(lambda: bobs(server))
    (found,) = bobs(server)
    return found


def quiet(*servers: Office) -> None:
    for server in servers:
        server.wait_for_empty_queue()


def test_postfix_refuses(ours: Server, theirs: Server, postfix: Postfix) -> None:
    """Our own report goes straight to the sender, who is not us."""
    ours.begin("away: x@away.test\n", {"away.test": postfix.port, "sender.test": theirs.port.smtp})
    postfix.recipient_access("x@away.test 550 5.7.1 Not here\n")
    with postfix:
        submit(theirs, "away@office.test")
        report = wait_for_bob(theirs)
        assert RETURN.search((postfix.root / "log").read_text()), "what Postfix refused came from one of ours"
    assert report["Return-Path"] == "<>"
    assert "Not here" in report.as_string()
    quiet(ours, theirs)


def test_postfix_accepts_and_returns_it_later(ours: Server, theirs: Server, postfix: Postfix) -> None:
    """Its bounce goes to the address that we gave out, and comes back through us to the server of the sender, after a
    restart, too."""
    ours.begin("away: x@away.test, gone@away.test\n", {"away.test": postfix.port, "sender.test": theirs.port.smtp})
    assert (ours.data / "srs.key").stat().st_mode & 0o777 == 0o600
    with Sink(refuse("RCPT", "450 4.2.0 wait")) as store, postfix:
        route(postfix, {"gone@away.test": store.port, "office.test": ours.port.smtp})
        postfix.reload()
        submit(theirs, "away@office.test")
        assert eventually(lambda: store.times("RCPT") and postfix.letters())
        (got,) = postfix.letters()
        head = got.read_text().partition("\n\n")[0]
        assert RETURN.search(head.splitlines()[0]), "Return-Path"
        assert "Delivered-To: away@office.test" in head
        ours.stop()
        ours.start()
        store.answer = refuse("RCPT", "550 5.1.1 has left")
        postfix.flush()
        report = wait_for_bob(theirs)
    assert "has left" in report.as_string()
    assert report["Return-Path"] == "<>"
    found = ours.wait_for_log("from=<>", "client=")
    assert "nrcpt=1" in found
    assert RETURN.search(ours.wait_for_log("to=<bob@sender.test>", "orig_to=<SRS0=", "status=sent"))
    quiet(ours, theirs)


def test_a_loop_through_postfix(ours: Server, postfix: Postfix) -> None:
    """x@away.test sends back to the alias: the second time is the last one, and the sender hears of it."""
    with Sink() as far, postfix:
        ours.begin("away: x@away.test\n", {"away.test": postfix.port, "sender.test": far.port})
        (postfix.conf / "aliases").write_text("x@away.test away@office.test\n")
        route(postfix, {"office.test": ours.port.smtp})
        postfix.reload()
        mail(ours, "away@office.test")
        assert eventually(lambda: far.letters)
        (bounce,) = far.letters
        quiet(ours)
    assert (bounce.sender, bounce.recipients) == ("", ["bob@sender.test"])
    assert b"554 5.4.6 A forwarding loop" in bounce.content
    assert len(ours.logged("status=sent", "to=<x@away.test>")) == 1


def test_a_loop_between_two_of_us(ours: Server, make_server: MakeServer) -> None:
    """The second one forwards as well: its bounce goes to us, who forwarded first, and we know the sender."""
    other = make_server("other.test")
    with Sink() as far:
        ours.begin("away: back@other.test\n", {"other.test": other.port.smtp, "sender.test": far.port})
        other.begin("back: away@office.test\n", {"office.test": ours.port.smtp})
        mail(ours, "away@office.test")
        assert eventually(lambda: far.letters)
        (bounce,) = far.letters
        quiet(ours, other)
    assert (bounce.sender, bounce.recipients) == ("", ["bob@sender.test"])
    assert b"554 5.4.6 A forwarding loop" in bounce.content
    other.wait_for_log("forwarded from=<SRS1=", "=office.test==")


def test_two_forwarders(ours: Server, make_server: MakeServer) -> None:
    """The last server refuses later: the bounce comes from the second forwarder's address to the first, to the
    sender."""
    other = make_server("other.test")
    with Sink() as far, Sink() as last:
        ours.begin("away: on@other.test\n", {"other.test": other.port.smtp, "sender.test": far.port})
        other.begin("on: x@last.test\n", {"office.test": ours.port.smtp, "last.test": last.port})
        mail(ours, "away@office.test")
        assert eventually(lambda: last.letters)
        sender = last.letters[0].sender
        assert re.fullmatch(
            r"SRS1=[A-Z2-7]{8}=office\.test==[A-Z2-7]{8}=[A-Z2-7]{2}=sender\.test=bob@other\.test", sender
        )
        head = last.letters[0].content
        assert head.startswith(b"Delivered-To: on@other.test\r\nReceived: ")
        assert b"\r\nDelivered-To: away@office.test\r\n" in head
        with other.smtp() as client:
            client.sendmail("", [sender], "Subject: Undelivered\r\n\r\nHas left.\r\n")
        assert eventually(lambda: far.letters)
        assert (far.letters[0].sender, far.letters[0].recipients) == ("", ["bob@sender.test"])
        quiet(ours, other)


def test_a_bounce_that_nobody_takes_is_dropped(ours: Server) -> None:
    """With a line in the log, and no bounce of the bounce."""
    with Sink(refuse("RCPT TO:<BOB", "550 5.1.1 no such user")) as far:
        ours.begin("away: x@away.test\n", {"*": far.port})
        mail(ours, "away@office.test")
        assert eventually(lambda: far.letters)
        with ours.smtp() as client:
            client.sendmail("", [far.letters[0].sender], "Subject: Undelivered\r\n\r\nHas left.\r\n")
        ours.wait_for_log("a bounce that cannot be delivered is dropped")
        quiet(ours)
        assert len(far.letters) == 1


def test_our_own_report_to_a_return_address_of_ours(ours: Server) -> None:
    """Somebody sends back what we forwarded, with the sender as it was, and it fails here: the first sender hears."""
    with Sink(refuse("RCPT TO:<GONE", "550 5.1.1 no such user")) as far:
        ours.begin("away: x@away.test\nold: gone@away.test\n", {"*": far.port})
        mail(ours, "away@office.test")
        assert eventually(lambda: far.letters)
        mail(ours, "old@office.test", sender=far.letters[0].sender)
        assert eventually(lambda: len(far.letters) == 2)
        assert (far.letters[1].sender, far.letters[1].recipients) == ("", ["bob@sender.test"])
        quiet(ours)


def test_what_an_alias_sends_on_is_fetched(ours: Server) -> None:
    """By ATRN it goes under the same sender, with the same mark."""
    relay = {"domains": "dialup.test", "fetch": "dialup.test:bob@office.test"}
    ours.configure({"relay": relay, "routes": {"dialup.test": "fetch"}})
    ours.aliases.write_text("away: x@dialup.test\n")
    ours.add_users("bob")
    ours.start()
    mail(ours, "away@office.test")
    deferred(ours)
    dialup = Dialup(ours)
    dialup.serve()
    (mail_from,) = (line for line in dialup.heard if line.startswith("MAIL"))
    assert RETURN.search(mail_from)
    assert dialup.letters[0].startswith("Delivered-To: away@office.test\r\nReceived: ")
    quiet(ours)


def test_return_addresses_are_no_relay(ours: Server) -> None:
    """With a good one at hand: nothing goes out but from the null sender, and the admin can see whom it leads to."""
    with Sink() as far:
        ours.begin("away: x@away.test\n", {"*": far.port})
        mail(ours, "away@office.test")
        assert eventually(lambda: far.letters)
        given = far.letters[0].sender
        with Wire(ours.port.smtp) as client:
            client.ask(b"EHLO spammer.test")
            client.ask(b"MAIL FROM:<spammer@far.test>")
            assert client.ask(f"RCPT TO:<{given}>".encode()).startswith("550 5.7.1 A return address takes bounces only")
            client.ask(b"RSET")
            client.ask(b"MAIL FROM:<>")
            forged = given.replace("=bob@", "=victim@")
            assert client.ask(f"RCPT TO:<{forged}>".encode()).startswith("550 5.1.1 ")
        assert "bob@sender.test goes out by the queue" in ours.cli("alias", "resolve", given)
        assert "reaches nobody" in ours.cli("alias", "resolve", forged, code=1)
        quiet(ours)
        assert len(far.letters) == 1
    said = ours.cli("relay", "test", "--against", f"127.0.0.1:{ours.port.smtp}").splitlines()
    assert said[-1].startswith("Relaying denied: ")


def test_switched_off(ours: Server) -> None:
    with Sink() as far:
        ours.begin("away: x@away.test\n", {"*": far.port}, srs="no")
        mail(ours, "away@office.test")
        assert eventually(lambda: far.letters)
        assert far.letters[0].sender == "bob@sender.test"
        assert far.letters[0].content.startswith(b"Delivered-To: away@office.test\r\n")
    assert not (ours.data / "srs.key").exists()


def srs(*options: str) -> str:
    """The program of the scheme's author."""
    return run("srs", "--secret=sesame", *options).stdout.strip()


@pytest.mark.parametrize("name", ["bob", "Bob.Smith+list", "a=b"])
def test_together_with_the_first_program_that_had_it(name: str) -> None:
    """Two forwarders in a row, in both orders: each takes the other's address, and gives back what it got."""
    ours, now = Srs(b"k" * 32, 26), time()
    theirs = Address.parse(srs("--forward", f"--address={name}@sender.test", "--alias=us@first.test"))
    second = ours.outward(theirs, "office.test", now)
    assert second is not None and second.local.startswith("SRS1=")
    assert ours.homeward(second, now) == theirs
    assert srs("--reverse", f"--address={theirs}") == f"{name}@sender.test"
    first = ours.outward(Address(name, "sender.test"), "office.test", now)
    second = Address.parse(srs("--forward", f"--address={first}", "--alias=us@second.test"))
    assert second.local.startswith("SRS1=")
    assert srs("--reverse", f"--address={second}") == str(first)
    third = ours.outward(second, "office.test", now)
    assert third is not None and ours.homeward(third, now) == first
