"""What a message of our own users must be, event by event; whole dialogues are in tests/dialogues/smtp."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.intake.reception import Reception
from mailstack.intake.transaction import OUR_FAULT
from mailstack.interfaces.accounts import Resolution
from mailstack.model.address import Address
from mailstack.model.reply import Reply
from mailstack.protocol.smtp_events import Auth, BodyEnd, Credentials, Data, Hello, Mail, Rcpt, Reset
from tests import cuts
from tests.fakes import at_once
from tests.intake.office import NEIGHBOUR, STRANGER, Office
from tests.intake.office import settings as office_settings

ALICE, FRIEND = Address("alice", "office.test"), Address("friend", "far.test")
DATE = b"Date: Sun, 09 Sep 2001 01:46:40 +0000\n"


def logged_in(office: Office, client: str = STRANGER, user: str = "alice") -> Reception:
    reception = office.reception(client, submission=True)
    reception.secured("TLSv1.3")
    for event in (Hello("a", True), Auth("PLAIN"), Credentials(f"{user}@office.test", "sesame")):
        at_once(reception.decide(event))
    return reception


def send(reception: Reception, *pieces: bytes, sender: Address | None = ALICE) -> Reply:
    """One letter to one recipient; the last answer."""
    for event in (Mail(sender), Rcpt(FRIEND)):
        at_once(reception.decide(event))
    return send_on(reception, *pieces)


def send_on(reception: Reception, *pieces: bytes) -> Reply:
    """From DATA on."""
    at_once(reception.decide(Data()))
    for piece in pieces:
        reception.body(piece, piece.count(b"\n"))
    return at_once(reception.decide(BodyEnd(stray=False)))


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (b"From: alice@office.test\n", 250),
        (b"From: Boss <Boss@OFFICE.test>\n", 250),
        (b"From: alice+lists@office.test\n", 250),
        (b"From: =?utf-8?Q?=C3=85sa?=\n <alice@office.test>\n", 250),
        ("From: Åsa <alice@office.test>\n".encode(), 250),
        (b'From: "ceo@far.test" <alice@office.test>\n', 250),
        (b"From: alice@office.test\nSender: whoever@far.test\n", 250),
        (b"From: alice@office.test, boss@office.test\nSender: alice@office.test\n", 250),
        (b"From: us: alice@office.test;\n", 250),
        (b"From: bob@office.test\n", 553),
        (b"From: ceo@far.test\n", 553),
        (b"From: nobody@office.test\n", 553),
        (b"From: away@office.test\n", 553),
        (b"From: alice@office.test, bob@office.test\nSender: alice@office.test\n", 553),
        (b"From: alice@office.test, boss@office.test\nSender: bob@office.test\n", 553),
        (b"From: us: alice@office.test, bob@office.test;\nSender: alice@office.test\n", 553),
        (b"From: ceo@far.test (alice@office.test)\n", 553),
        (b'From: "alice@office.test" <ceo@far.test>\n', 553),
        (b"Resent-From: alice@office.test\nFrom: ceo@far.test\n", 553),
        (b"From: alice@office.test, boss@office.test\n", 550),
        (b"From: alice@office.test, boss@office.test\nSender: us:;\n", 550),
        (b"From: alice@office.test, boss@office.test\nSender: (\n", 550),
        (b"From: alice@office.test, boss@office.test\nSender: alice@office.test\nSender: alice@office.test\n", 550),
        (b"From: alice@office.test\nFrom: alice@office.test\n", 550),
        (b"From: alice@office.test\nSubject: x\nfrom : ceo@far.test\n", 550),
        (b"From:\n", 550),
        (b"From: us:;\n", 550),
        (b"From: ceo@far.test <alice@office.test>\n", 553),
        (b"From: alice@office.test <ceo@far.test>\n", 553),
        (b"From: Alice@Office.test <alice@office.test>\n", 250),
        (b"From: boss@office.test <alice@office.test>\n", 550),
        (b"From: alice\x00@office.test\n", 550),
        (b"From: " + b", ".join(b"alice+%d@office.test" % number for number in range(10_000)) + b"\n", 550),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_author_is_the_user(header: bytes, code: int) -> None:
    office = Office(settings=office_settings(message_size=1_000_000))
    reply = send(logged_in(office), header + b"\nhello\n")
    assert reply.code == code, reply
    assert len(office.letters) == (code == 250)
    assert bool(office.log.events[-1][1].get("what", "")) == (code != 250), "a refusal stands in the log"


def test_refusal_says_which_address() -> None:
    office = Office()
    reply = send(logged_in(office), "From: ceo@bürö.test\n\n".encode())
    assert str(reply) == "553 5.7.1 From has <ceo@xn--br-gkaw.test>, which is not your address"


@pytest.mark.parametrize("sender", [None, ALICE, Address("Boss", "office.test"), Address("alice+x", "office.test")])
def test_missing_author_is_the_envelope_sender(sender: Address | None) -> None:
    office = Office()
    assert send(logged_in(office), b"\nhello\n", sender=sender).code == 250
    author = str(sender or ALICE).encode()
    assert office.contents == [DATE + b"From: " + author + b"\nMessage-ID: <ID1@mail.office.test>\n\nhello\n"]
    assert office.log.events[-1][1]["message-id"] == "<ID1@mail.office.test>"


@pytest.mark.parametrize("event", [Reset(), Hello("b", True)])
def test_second_message_starts_anew(event: Reset | Hello) -> None:
    office = Office()
    reception = logged_in(office)
    assert send(reception, b"From: bob@office.test\n\n").code == 553
    at_once(reception.decide(event))
    assert send(reception, b"From: alice@office.test\n\n").code == 250


def test_nobody_can_tell_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """An alias cannot be looked up: that is no refusal for good, at MAIL and in From."""
    office = Office()
    reception = logged_in(office)
    unsure = Reply(451, "4.3.0", "later")
    resolve = office.directory.resolve
    boss = Address("boss", "office.test")
    monkeypatch.setattr(
        office.directory, "resolve", lambda who: Resolution(refusal=unsure) if who == boss else resolve(who)
    )
    assert at_once(reception.decide(Mail(boss))) == unsure
    assert send(reception, b"From: boss@office.test\n\n") == unsure


@pytest.mark.parametrize("whole", [True, False])
def test_disk_that_refuses_what_was_held_back(whole: bool) -> None:
    """The header is stored when it is whole, or at the end of data."""
    office = Office()
    office.spool.write_error, office.spool.writes = OSError("odd"), 1
    assert send(logged_in(office), b"Subject: x\n" + b"\nhello\n" * whole) == OUR_FAULT
    assert not office.letters
    assert not office.spool.begun


def test_other_servers_mail_is_not_touched() -> None:
    office = Office()
    reception = office.reception()
    at_once(reception.decide(Hello("a", True)))
    message = b"Bcc: x\nFrom: a, b\nFrom: c\nno field\n\nhello\n"
    for event in (Mail(FRIEND), Rcpt(ALICE), Data()):
        at_once(reception.decide(event))
    reception.body(message, message.count(b"\n"))
    assert at_once(reception.decide(BodyEnd(stray=False))).code == 250
    assert office.contents == [message]


HEADERS = st.lists(
    st.sampled_from(
        [b"Subject: x\n", b"From: alice@office.test\n", b"Bcc: y,\n z\n", b"Date: 1\n", b"\tfolded\n", b"no\n"]
    ),
    max_size=6,
).map(b"".join)
BODIES = st.one_of(st.binary(max_size=50).map(lambda body: body.replace(b"\r", b"")), st.just(b"Bcc: z\n\nFrom: a\n"))


@settings(max_examples=300)
@given(cuts.anywhere(st.builds(lambda header, body: header + b"\n" + body, HEADERS, BODIES)))
def test_cuts_make_no_difference_and_the_body_is_untouched(pieces: list[bytes]) -> None:
    results = []
    message = b"".join(pieces)
    for delivery in (pieces, [message], cuts.at(message, range(len(message)))):
        office = Office()
        reply = send(logged_in(office), *delivery)
        results.append((reply, list(office.contents)))
        for content in office.contents:
            body = message.removeprefix(b"\n") if message.startswith(b"\n") else message.partition(b"\n\n")[2]
            assert content.endswith(b"\n" + body)
    assert results == [results[0]] * 3


# ---- How much


def small(limit: int) -> Office:
    return Office(settings=office_settings(recipients=100, recipients_per_hour=limit))


def rcpt(reception: Reception, number: int) -> list[int]:
    replies = [at_once(reception.decide(Rcpt(Address(f"r{each}", "far.test")))) for each in range(number)]
    return [reply.code for reply in replies]


def test_limit_strikes() -> None:
    """One line, one letter to the postmaster, one refusal for each recipient."""
    office = small(3)
    reception = logged_in(office)
    at_once(reception.decide(Mail(ALICE)))
    assert rcpt(reception, 6) == [250, 250, 250, 450, 450, 450]
    assert "alice@office.test has sent to 3 recipients within an hour" in str(office.log.warnings)
    assert len(office.log.warnings) == len(office.notices) == 1
    assert b"3 recipients since" in office.notices[0].replace(b"\n", b" ")
    assert STRANGER.encode() in office.notices[0]


def test_a_list_counts_as_all_whom_it_leads_to() -> None:
    """It may go beyond the limit once."""
    office = small(3)
    reception = logged_in(office)
    at_once(reception.decide(Mail(ALICE)))
    team = Address("team", "office.test")
    assert [at_once(reception.decide(Rcpt(team))).code for _ in range(3)] == [250, 250, 450]


def test_others_are_not_concerned() -> None:
    """Neither other accounts nor other servers."""
    office = small(1)
    for reception in (logged_in(office), logged_in(office, user="bob")):
        at_once(reception.decide(Mail(None)))
        assert rcpt(reception, 2) == [250, 450]
    other = office.reception()
    at_once(other.decide(Hello("a", True)))
    at_once(other.decide(Mail(FRIEND)))
    assert [at_once(other.decide(Rcpt(ALICE))).code for _ in range(5)] == [250] * 5


def test_sessions_of_one_account_count_together() -> None:
    office = small(3)
    first, second = logged_in(office), logged_in(office, "203.0.113.9")
    for reception in (first, second):
        at_once(reception.decide(Mail(ALICE)))
    assert rcpt(first, 2) == [250, 250]
    assert rcpt(second, 2) == [250, 450]
    assert b"203.0.113.9" in office.notices[0]
    first.closed()
    assert rcpt(second, 3) == [250, 250, 450], "what was not sent does not count"


def begin(reception: Reception) -> None:
    at_once(reception.decide(Mail(ALICE)))
    assert rcpt(reception, 1) == [250]


NOT_ACCEPTED: dict[str, Callable[[Office, Reception], object]] = {
    "reset": lambda office, reception: reception.decide(Reset()),
    "closed": lambda office, reception: reception.closed(),
    "tls": lambda office, reception: reception.secured("TLSv1.3"),
    "refused": lambda office, reception: send_on(reception, b"From: ceo@far.test\n\n"),
    "disk": lambda office, reception: fail(office, reception),
}


def fail(office: Office, reception: Reception) -> None:
    office.spool.add_error = OSError("odd")
    assert send_on(reception, b"\n").code == 451
    office.spool.work_again()


@pytest.mark.parametrize("how", NOT_ACCEPTED)
def test_message_that_is_not_accepted_does_not_count(how: str) -> None:
    office = small(1)
    reception = logged_in(office)
    begin(reception)
    NOT_ACCEPTED[how](office, reception)
    assert not office.letters
    reception = logged_in(office)
    begin(reception)
    assert send_on(reception, b"\n").code == 250
    at_once(reception.decide(Mail(ALICE)))
    assert rcpt(reception, 1) == [450]


def test_room_again_after_an_hour() -> None:
    office = small(1)
    reception = logged_in(office)
    assert send(reception, b"\n").code == 250
    at_once(reception.decide(Mail(ALICE)))
    refusal = at_once(reception.decide(Rcpt(FRIEND)))
    assert str(refusal) == (
        "450 4.7.1 You have sent to 1 recipients within an hour, the limit here: room again in 61 minutes"
    )
    office.now += 61 * 60
    assert at_once(reception.decide(Rcpt(FRIEND))).code == 250


MESSAGE = b"From: alice+lists@office.test\n\ntext\n"


def test_it_is_saved_for_who_has_logged_in() -> None:
    """Whatever address of theirs they use; nobody else, and no report by a program."""
    office = Office()
    office.directory.savers = {"alice@office.test"}
    boss = Address("boss", "office.test")
    assert send(logged_in(office), MESSAGE, sender=boss).code == 250
    assert send(logged_in(office, user="bob"), b"From: bob@office.test\n\n", sender=Address("bob", "office.test"))
    assert send(logged_in(office), MESSAGE, sender=None).code == 250
    assert [letter.sent_by for letter in office.letters] == [ALICE, None, None]
    assert all(letter.recipients == office.letters[0].recipients for letter in office.letters), "it is no recipient"


def test_without_the_wish_nothing_is_saved() -> None:
    office = Office()
    send(logged_in(office), MESSAGE)
    assert [letter.sent_by for letter in office.letters] == [None]


def test_what_scripts_and_neighbours_send_is_nobodys() -> None:
    """Anybody could put something into the folder of somebody else."""
    office = Office()
    office.directory.savers = {"alice@office.test"}
    for reception in (office.reception(NEIGHBOUR), office.reception("", userid=1000)):
        at_once(reception.decide(Hello("a", True)))
        assert send(reception, MESSAGE).code == 250
    assert [letter.sent_by for letter in office.letters] == [None, None]


def test_a_name_with_a_folder_is_the_account() -> None:
    """Programs use the name of a further account for sending, too."""
    office = Office()
    office.directory.savers = {"alice@office.test"}
    assert send(logged_in(office, user="alice+Junk"), MESSAGE).code == 250
    assert [letter.sent_by for letter in office.letters] == [ALICE]
    assert ("NOQUEUE", "alice@office.test") in [(id, str(each.get("sasl_username"))) for id, each in office.log.events]
    refused = at_once(logged_in(office, user="alice+Junk").decide(Mail(Address("bob", "office.test"))))
    assert refused.code == 553
