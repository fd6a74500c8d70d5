"""The policy, event by event; whole dialogues are in tests/dialogues/smtp."""

from __future__ import annotations

import errno

import pytest
from attrs import evolve

from mailstack.intake.reception import DECISIONS, Reception
from mailstack.intake.transaction import DISK_FULL, OUR_FAULT
from mailstack.interfaces.accounts import Identity, Resolution
from mailstack.model.address import Address
from mailstack.model.letter import Letter
from mailstack.model.reply import Reply
from mailstack.protocol.smtp_events import (
    Auth,
    Body,
    BodyEnd,
    Credentials,
    Data,
    Event,
    Hello,
    Mail,
    Noop,
    Rcpt,
    Reset,
)
from tests.fakes import at_once
from tests.intake.office import NEIGHBOUR, STRANGER, Office

ALICE, BOB = Address("alice", "office.test"), Address("bob", "office.test")
FRIEND = Address("friend", "far.test")


def ask(reception: Reception, *events: Event) -> list[Reply]:
    return [at_once(reception.decide(event)) for event in events]


def codes(reception: Reception, *events: Event) -> list[int]:
    return [reply.code for reply in ask(reception, *events)]


def send(reception: Reception, body: bytes = b"x: 1\n", *to: Address) -> Reply:
    """A whole letter; the last answer."""
    codes(reception, Mail(FRIEND), *(Rcpt(each) for each in to or (ALICE,)), Data())
    reception.body(body, body.count(b"\n"))
    return ask(reception, BodyEnd(stray=False))[0]


@pytest.fixture
def office() -> Office:
    return Office()


@pytest.fixture
def reception(office: Office) -> Reception:
    reception = office.reception()
    ask(reception, Hello("client.test", True))
    return reception


def test_every_event_has_a_decision() -> None:
    """But for Body, which wants no answer."""
    assert set(DECISIONS) == set(Event.__args__) - {Body}


def test_letter(office: Office, reception: Reception) -> None:
    """One id in the reply, in Received and in the log; the queue is told when it is ours."""
    assert str(send(reception)) == "250 2.0.0 Ok: queued as ID1"
    with office.spool.open("ID1") as file:
        content = file.read()
    assert b" id ID1\n" in content
    assert content.startswith(b"Return-Path: <friend@far.test>\nDelivered-To: alice@office.test\nReceived: ")
    assert office.log.events[-1][0] == "ID1"
    assert office.woken == ["ID1"]


def test_log_of_a_letter(office: Office, reception: Reception) -> None:
    send(reception, b"Message-ID: <1@far.test>\n", ALICE, BOB)
    id, fields = office.log.events[-1]
    assert id == "ID1"
    assert {key: str(value) for key, value in fields.items() if value is not None} == {
        "client": "unknown[192.0.2.7]",
        "from_": "<friend@far.test>",
        "size": str(office.letters[0].wire_size),
        "nrcpt": "2",
        "proto": "ESMTP",
        "helo": "<client.test>",
        "message-id": "<1@far.test>",
    }


def test_client_that_vanishes_leaves_nothing(office: Office, reception: Reception) -> None:
    codes(reception, Mail(FRIEND), Rcpt(ALICE), Data())
    reception.body(b"x: 1\n", 1)
    assert office.spool.begun
    reception.closed()
    assert not office.spool.begun
    assert not office.letters
    assert "lost connection with" in str(office.log.events[-1])


@pytest.mark.parametrize("event", [Reset(), Hello("a", True), Hello("a", False)])
def test_what_forgets_the_message(office: Office, reception: Reception, event: Event) -> None:
    assert codes(reception, Mail(FRIEND), Rcpt(ALICE), event, Mail(None), Rcpt(BOB), Data()) == [250] * 5 + [354]
    reception.body(b"x: 1\n", 1)
    ask(reception, BodyEnd(stray=False))
    (letter,) = office.letters
    assert [each.address for each in letter.recipients] == [BOB]
    assert letter.sender is None


def test_tls_forgets_everything(office: Office) -> None:
    """The greeting, the message, the log-in: somebody in between may have said it all."""
    reception = office.reception("127.0.0.1", submission=True, loopback=True)
    login = [Auth("PLAIN"), Credentials("alice", "sesame")]
    assert codes(reception, Hello("a", True), *login, Mail(ALICE)) == [250, 334, 235, 250]
    reception.secured("TLSv1.3")
    assert codes(reception, Mail(ALICE)) == [530]
    assert codes(reception, *login, Mail(ALICE), Rcpt(FRIEND), Data()) == [334, 235, 250, 250, 354]
    assert b"(using TLSv1.3)" in next(iter(office.spool.begun)).content


# ---- The disk


@pytest.mark.parametrize(("number", "reply"), [(errno.ENOSPC, DISK_FULL), (errno.EIO, OUR_FAULT)])
@pytest.mark.parametrize("place", ["receive_error", "write_error", "add_error"])
def test_disk_that_refuses(office: Office, reception: Reception, place: str, number: int, reply: Reply) -> None:
    """The client keeps the letter, the postmaster is told, and the next one is taken."""
    setattr(office.spool, place, OSError(number, "refused"))
    answers = ask(reception, Mail(FRIEND), Rcpt(ALICE), Data())
    if place == "add_error":
        reception.body(b"x: 1\n", 1)
        answers += ask(reception, BodyEnd(stray=False))
    assert answers[-1] == reply
    assert not office.letters
    assert not office.woken
    assert "refused" in str(office.log.warnings)
    assert not office.log.failures
    office.spool.work_again()
    ask(reception, Reset())
    assert not office.spool.begun
    assert send(reception).code == 250


def test_disk_that_fills_up_in_the_middle(office: Office, reception: Reception) -> None:
    """Told after the end of data, once; what else comes is not tried again."""
    codes(reception, Mail(FRIEND), Rcpt(ALICE), Data())
    office.spool.write_error, office.spool.writes = OSError(errno.ENOSPC, "full"), 1
    for _ in range(5):
        reception.body(b"x: 1\n", 1)
    office.spool.work_again()
    reception.body(b"x: 1\n", 1)
    assert ask(reception, BodyEnd(stray=False)) == [DISK_FULL]
    assert len(office.log.warnings) == 1
    assert not office.letters
    assert not office.spool.begun
    assert send(reception).code == 250


def test_disk_that_fails_all_the_way(office: Office, reception: Reception) -> None:
    """Even forgetting fails: still an answer for each command, and no traceback."""
    error = OSError(errno.EIO, "broken")
    codes(reception, Mail(FRIEND), Rcpt(ALICE), Data())
    office.spool.write_error = office.spool.discard_error = error
    reception.body(b"x: 1\n", 1)
    assert ask(reception, BodyEnd(stray=False)) == [OUR_FAULT]
    assert codes(reception, Mail(FRIEND), Rcpt(ALICE), Data(), Reset(), Noop()) == [250, 250, 451, 250, 250]
    reception.closed()
    assert not office.log.failures


# ---- Bugs


def test_bug_at_rcpt_costs_one_recipient(office: Office, reception: Reception, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of the message is as it was."""
    ask(reception, Mail(FRIEND), Rcpt(ALICE))
    resolve = office.directory.resolve

    def broken(address: Address) -> Resolution:
        if address == BOB:
            raise RuntimeError("a bug")
        return resolve(address)

    monkeypatch.setattr(office.directory, "resolve", broken)
    assert ask(reception, Rcpt(BOB)) == [OUR_FAULT]
    assert office.log.failures == ["NOQUEUE: RuntimeError('a bug')"]
    assert codes(reception, Data(), BodyEnd(stray=False)) == [354, 250]
    assert [each.address for each in office.letters[0].recipients] == [ALICE]


@pytest.mark.parametrize("place", ["write_error", "add_error"])
def test_bug_in_the_spool(office: Office, reception: Reception, place: str) -> None:
    """Logged with the queue id and its traceback, 451, nothing kept, and the next letter is taken."""
    codes(reception, Mail(FRIEND), Rcpt(ALICE), Data())
    setattr(office.spool, place, RuntimeError("a bug"))
    reception.body(b"x: 1\n", 1)
    assert ask(reception, BodyEnd(stray=False)) == [OUR_FAULT]
    assert office.log.failures == ["ID1: RuntimeError('a bug')"]
    assert not office.letters
    assert not office.spool.begun
    office.spool.work_again()
    assert send(reception).code == 250


def test_no_memory_is_no_bug(office: Office, reception: Reception) -> None:
    codes(reception, Mail(FRIEND), Rcpt(ALICE), Data())
    office.spool.add_error = MemoryError()
    reception.body(b"x: 1\n", 1)
    assert ask(reception, BodyEnd(stray=False)) == [OUR_FAULT]
    assert not office.log.failures and "Cannot allocate memory" in str(office.log.warnings)


@pytest.mark.parametrize("error", [RuntimeError("a bug"), OSError("odd")])
def test_bug_after_the_letter_became_ours(office: Office, error: Exception) -> None:
    """The client must hear 250, or it would send the letter a second time."""

    def broken(letter: Letter) -> None:
        raise error

    around = evolve(office.surroundings(submission=False, tls=False), wake=broken)
    reception = Reception(around, STRANGER, False)
    ask(reception, Hello("a", True))
    assert send(reception).code == 250
    assert len(office.letters) == 1
    assert office.log.failures or office.log.warnings


def test_bug_in_the_log_in(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is logged in by it, and no password is in the log."""

    async def broken(name: str, password: str, client: str, authzid: str) -> Identity | Reply:
        raise RuntimeError("a bug")

    monkeypatch.setattr(office.authenticator, "login", broken)
    reception = office.reception(submission=True, loopback=True)
    assert ask(reception, Auth("PLAIN"), Credentials("alice", "sesame"))[1] == OUR_FAULT
    assert codes(reception, Mail(ALICE)) == [530]
    assert "sesame" not in str(office.log.failures)


# ---- Who is on the other end


@pytest.mark.parametrize("client", [STRANGER, NEIGHBOUR])
@pytest.mark.parametrize("sender", [None, ALICE, FRIEND])
def test_nothing_on_submission_without_login(office: Office, client: str, sender: Address | None) -> None:
    reception = office.reception(client, submission=True)
    assert codes(reception, Hello("a", True), Mail(sender)) == [250, 530]


def test_relay_and_login_by_ipv6(office: Office) -> None:
    reception = office.reception("2001:db8::7")
    assert codes(reception, Hello("a", True), Mail(FRIEND), Rcpt(FRIEND), Data()) == [250, 250, 250, 354]
    assert b"([IPv6:2001:db8::7])" in next(iter(office.spool.begun)).content


def test_unix_socket_is_trusted_with_passwords_only(office: Office) -> None:
    reception = office.reception("", loopback=True)
    assert codes(reception, Hello("a", True), Mail(FRIEND), Rcpt(FRIEND)) == [250, 250, 550]


def test_temporary_refusal_of_the_directory(
    office: Office, reception: Reception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When nobody can tell who exists, mail is neither bounced nor taken."""
    unsure = Reply(451, "4.3.0", "later")
    monkeypatch.setattr(office.directory, "resolve", lambda address: Resolution(refusal=unsure))
    assert ask(reception, Mail(FRIEND), Rcpt(ALICE))[1] == unsure


def test_passwords_are_not_logged(office: Office) -> None:
    reception = office.reception(submission=True, loopback=True)
    ask(reception, Auth("PLAIN"), Credentials("alice", "guess-1"), Credentials("alice", "sesame", "bob"))
    assert "guess-1" not in str(office.log.events)
    assert "sesame" not in str(office.log.events)
    assert len(office.log.events) == 2


def test_each_greeting_is_told(office: Office) -> None:
    heard: list[tuple[str, str]] = []
    around = evolve(office.surroundings(submission=False, tls=True), greeted=lambda *who: heard.append(who))
    ask(Reception(around, STRANGER, loopback=False), Hello("a.test", False), Noop(), Hello("b.test", True))
    assert heard == [(STRANGER, "a.test"), (STRANGER, "b.test")]
