"""Reports: what a mail program and a person find in them."""

# ruff: noqa: RUF001 - Chinese punctuation

from __future__ import annotations

import quopri
import re
from collections.abc import Sequence
from datetime import UTC
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import parsedate_to_datetime

import pytest
from attrs import evolve
from flufl.bounce import all_failures
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mailstack.message.filled import columns
from mailstack.message.moment import moment
from mailstack.message.report import MAX_RETURNED, status_report
from mailstack.message.report_occasion import Fate, Occasion
from mailstack.model.address import Address
from mailstack.model.letter import Letter, Recipient
from mailstack.model.outcome import Delayed, Delivered, Failed, Outcome
from mailstack.model.reply import Reply
from tests.message.meanings import VOICES

ALICE = Address("alice", "office.test")
BOB = Address("bob", "example.com")
LETTER = Letter("L1", ALICE, (Recipient(BOB, BOB),), 1_700_000_000.0, 100, 5, 10, False, 0)
OCCASION = Occasion("R1", "mx.office.test", Address("postmaster", "office.test"), LETTER, 1_700_003_600.0)
UNTIL = 1.7005e9
ORIGINAL = b"Received: from x\n\tby y\nMessage-ID: <m1@office.test>\nSubject: hello\n\nThe body\n"
REFUSED = Failed(Reply(550, "5.1.1", "No such user"), "mx.example.com[192.0.2.1]:25")


def fate(outcome: Failed | Delayed = REFUSED, address: Address = BOB, original: Address | None = None) -> Fate:
    return Fate(Recipient(address, original or address), outcome, UNTIL if isinstance(outcome, Delayed) else None)


def report(occasion: Occasion, fates: Sequence[Fate], original: bytes, language: str = "en") -> bytes:
    return status_report(VOICES[language], occasion, fates, original)


def parse(raw: bytes) -> EmailMessage:
    assert raw.isascii() and b"\r" not in raw
    assert max(map(len, raw.split(b"\n"))) <= 998
    message = message_from_bytes(raw, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def parts(raw: bytes) -> tuple[str, list[EmailMessage], str]:
    human, machine, header = parse(raw).iter_parts()
    assert header.get_content_type() == "text/rfc822-headers"
    text = human.get_content()
    return text, blocks_of(machine), header.get_payload(decode=True).decode("utf-8", "replace")


def blocks_of(machine: EmailMessage) -> list[EmailMessage]:
    """Python's parser knows the older type only."""
    if machine.get_content_type() == "message/delivery-status":
        return list(machine.get_payload())
    assert machine.get_content_type() == "message/global-delivery-status"
    octets = machine.as_bytes().partition(b"\n\n")[2]
    if machine["Content-Transfer-Encoding"] == "quoted-printable":
        octets = quopri.decodestring(octets)
    return [message_from_bytes(block, policy=policy.default) for block in octets.rstrip().split(b"\n\n")]  # type: ignore[misc]


def test_letter_around_it() -> None:
    """It is a multipart/report to the sender that no vacation notice answers, in the thread of the original."""
    message = parse(report(OCCASION, [fate()], ORIGINAL))
    assert message.get_content_type() == "multipart/report"
    assert message["Content-Type"].params["report-type"] == "delivery-status"
    assert message["To"] == "alice@office.test"
    assert message["From"].addresses[0].addr_spec == "MAILER-DAEMON@mx.office.test"
    assert message["Auto-Submitted"] == "auto-replied"
    assert message["In-Reply-To"] == message["References"] == "<m1@office.test>"
    assert message["Message-ID"] == "<R1@mx.office.test>"
    assert message["Subject"] == "Undelivered mail: hello"
    assert parsedate_to_datetime(message["Date"]).timestamp() == 1_700_003_600


def test_machine_part_of_a_failure() -> None:
    _, (message, recipient), _ = parts(report(OCCASION, [fate(original=ALICE)], ORIGINAL))
    assert message["Reporting-MTA"] == "dns; mx.office.test"
    assert parsedate_to_datetime(message["Arrival-Date"]).timestamp() == 1_700_000_000
    assert recipient["Original-Recipient"] is None, "the sender has not named any"
    assert message["Original-Envelope-Id"] is None
    assert recipient["Final-Recipient"] == "rfc822;bob@example.com"
    assert recipient["Action"] == "failed"
    assert recipient["Status"] == "5.1.1"
    assert recipient["Remote-MTA"] == "dns; mx.example.com"
    assert recipient["Diagnostic-Code"] == "smtp; 550 5.1.1 No such user"
    assert recipient["Last-Attempt-Date"]
    assert recipient["Will-Retry-Until"] is None


def test_machine_part_of_a_delay() -> None:
    """A delay says until when we try; a reply without a status gets the class of its code."""
    raw = report(OCCASION, [fate(Delayed(Reply(451, "", "later")))], ORIGINAL)
    _, (_, recipient), _ = parts(raw)
    assert recipient["Action"] == "delayed"
    assert recipient["Status"] == "4.0.0"
    assert recipient["Remote-MTA"] is None
    assert parsedate_to_datetime(recipient["Will-Retry-Until"]).timestamp() == UNTIL


def test_person_is_told_what_to_do() -> None:
    text, _, _ = parts(report(OCCASION, [fate()], ORIGINAL))
    assert text.startswith('Your message "hello" of Tue 14 Nov 2023, 22:13 (UTC) could not be delivered')
    assert "We have stopped trying" in " ".join(text.split())
    assert "bob@example.com" in text
    assert "There is no such mailbox" in text
    assert "Who must act: You, the sender." in text
    assert "Check the address" in text
    assert "The answer of mx.example.com[192.0.2.1]:25: 550 5.1.1 No such user" in " ".join(text.split())
    assert "there the message has the number L1" in " ".join(text.split())
    assert "postmaster@office.test" in text


def test_person_is_told_to_wait() -> None:
    text, _, _ = parts(report(OCCASION, [fate(Delayed(Reply(451, "4.4.1", "no route")))], ORIGINAL))
    assert "only a warning" in " ".join(text.split())
    words = " ".join(text.split())
    assert "Who must act: Nobody for now: the server tries again by itself." in words
    assert "You need not do anything: we try again by ourselves." in words
    assert "We keep trying until Tue 14 Nov 2023, 22:13 (UTC)," not in words, "that is when it came"
    assert f"We keep trying until {moment(UNTIL, UTC, 'en')}," in words


def test_every_recipient_has_a_block() -> None:
    fates = [fate(address=Address(f"user{number}", "example.com")) for number in range(250)]
    text, blocks, _ = parts(report(OCCASION, fates, ORIGINAL))
    assert len(blocks) == 251
    assert "and 150 more recipients" in text


def test_only_the_header_is_returned() -> None:
    *_, header = parts(report(OCCASION, [fate()], ORIGINAL))
    assert header.startswith("Received: from x\n\tby y\n")
    assert "Subject: hello" in header
    assert "The body" not in header


def test_header_is_bounded() -> None:
    """No more than 50 kB come back, cut at a line's end."""
    original = b"".join(b"X-Filler: %06d\n" % number for number in range(100_000)) + b"\nbody\n"
    *_, header = parts(report(OCCASION, [fate()], original))
    assert 49_000 < len(header) <= 50_000
    assert all(len(line) == 16 for line in header.strip().split("\n"))


def test_odd_header_survives() -> None:
    """8-bit octets, NULs and lines above 998 octets come back as they were, in quoted-printable."""
    original = "Subject: grüße \0\nX-Long: ".encode() + b"x" * 5_000 + b"\n\nbody"
    *_, header = parts(report(OCCASION, [fate()], original))
    assert header.startswith("Subject: grüße \0\nX-Long: " + "x" * 5_000)


def test_boundary_in_the_header_is_avoided() -> None:
    original = b"X-Evil: a\n--report/R1--\n--report/R1\n\n"
    *_, header = parts(report(OCCASION, [fate()], original))
    assert "--report/R1--" in header


NAMES = {"Final-Recipient", "Action", "Status", "Diagnostic-Code", "Remote-MTA", "Last-Attempt-Date"}
#: What could break out, more often than chance would have it.
ODD = st.sampled_from(
    ["=", "=?utf-8?q?=0A?=", "\r\n", "\n\n", "--report/R1--", "\x1b[2J", "{subject}", "\u202e", "\0", "%s"]
)
TEXT = st.lists(st.one_of(ODD, st.text(max_size=300)), max_size=20).map("".join)


@settings(max_examples=150, deadline=None)
@given(
    text=TEXT,
    local=TEXT.filter(bool),
    header=st.binary(max_size=500),
    subject=TEXT,
    language=st.sampled_from(["en", "zh"]),
)
@example(text="x" * 39 + "--report/R1--" * 9 + "\u4f60", local="\xa1", header=b"", subject="", language="en")
@example(text="=", local="\x80", header=b"", subject="", language="en")
def test_anything_from_outside_is_contained(text: str, local: str, header: bytes, subject: str, language: str) -> None:
    """Whatever a server says, an address holds or a header contains: three well-formed parts, one block a recipient,
    lines that any server takes, and no control character that a terminal would obey."""
    outcome = Failed(Reply(550, "5.1.1", text), f"{text[:40]}[192.0.2.1]:25")
    original = b"Subject: " + subject.encode("utf-8", "replace") + b"\n" + header
    raw = report(OCCASION, [fate(outcome, Address(local, "example.com"))], original, language)
    assert not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", raw)
    told, blocks, _ = parts(raw)
    assert len(blocks) == 2
    assert set(blocks[1].keys()) == NAMES and len(blocks[1].keys()) == len(NAMES)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", told)
    assert told.count(VOICES[language].wordings[0].dictionary.word("fates", "Who must act")) >= 1


# ---- What the sender has asked for: RFC 3461


def wished(notify: str = "", orcpt: str = "", address: Address = BOB) -> Recipient:
    return Recipient(address, address, frozenset(notify.split()), orcpt)


def types(raw: bytes) -> list[str]:
    return [part.get_content_type() for part in parse(raw).iter_parts()]


@pytest.mark.parametrize("hold", ["", "for;3600", "until;2026-12-01T08:00:00Z"])
def test_a_wish_to_be_held_back_comes_back(hold: str) -> None:
    """RFC 4865."""
    occasion = evolve(OCCASION, letter=evolve(LETTER, hold=hold))
    _, (message, *_), _ = parts(status_report(VOICES["en"], occasion, [fate()], ORIGINAL))
    assert (message["Future-Release-Request"] or "") == hold


def test_names_that_the_sender_gave_come_back_decoded() -> None:
    occasion = evolve(OCCASION, letter=evolve(LETTER, envid="QQ+2B314+3D1"))
    told = Fate(wished(orcpt="RFC822;bob+2Bx@example.com"), REFUSED)
    _, (message, recipient), _ = parts(report(occasion, [told], ORIGINAL))
    assert message["Original-Envelope-Id"] == "QQ+314=1"
    assert recipient["Original-Recipient"] == "RFC822;bob+x@example.com"
    assert recipient["Final-Recipient"] == "rfc822;bob@example.com"


def test_success_is_told_in_words_and_fields() -> None:
    local = Delivered(Reply(250, "2.0.0", "delivered to the Maildir"), "local")
    relayed = Delivered(Reply(250, "2.0.0", "queued"), "mx.example.com[192.0.2.1]:25", action="relayed")
    expanded = Delivered(Reply(0, "", ""), "none", action="expanded")
    fates = [Fate(wished("SUCCESS"), outcome) for outcome in (local, relayed, expanded)]
    raw = report(OCCASION, fates, ORIGINAL)
    text, (_, *blocks), header = parts(raw)
    assert [block["Action"] for block in blocks] == ["delivered", "relayed", "expanded"]
    assert [block["Status"] for block in blocks] == ["2.0.0", "2.0.0", "2.0.0"]
    assert [block["Remote-MTA"] for block in blocks] == [None, "dns; mx.example.com", None]
    assert blocks[2]["Diagnostic-Code"] is None, "nobody has answered"
    assert parse(raw)["Subject"] == "Delivered mail: hello"
    words = " ".join(text.split())
    assert "has arrived in the mailboxes" in words and "passed on to the mail servers" in words
    assert "sent to lists" in words and "What to do" not in words
    assert "The body" not in header


def test_what_failed_comes_first() -> None:
    """In one report with what went well, nobody overlooks it."""
    fates = [Fate(wished("SUCCESS"), Delivered(Reply(250, "2.0.0", "ok"), "local")), fate()]
    raw = report(OCCASION, fates, ORIGINAL)
    assert parse(raw)["Subject"].startswith("Undelivered mail")
    text, *_ = parts(raw)
    assert text.index("could not be delivered") < text.index("has arrived")


FULL = evolve(OCCASION, letter=evolve(LETTER, ret="FULL"))


def test_whole_message_comes_back_where_it_was_asked_for() -> None:
    raw = report(FULL, [fate()], ORIGINAL)
    assert types(raw) == ["text/plain", "message/delivery-status", "message/rfc822"]
    *_, returned = parse(raw).iter_parts()
    (message,) = returned.iter_parts()
    assert message["Subject"] == "hello" and message.get_content() == "The body\n"


def test_whole_8_bit_message_is_declared() -> None:
    original = b"Subject: x\nContent-Type: text/plain; charset=utf-8\n\ngr\xc3\xbc\xc3\x9fe --report/R1 no end"
    raw = report(FULL, [fate()], original)
    assert original in raw
    message = message_from_bytes(raw, policy=policy.default)
    assert message["Content-Transfer-Encoding"] == "8bit" and not message.defects
    (returned,) = list(message.iter_parts())[2].iter_parts()  # type: ignore[attr-defined]
    assert returned.get_content().startswith("grüße")


@pytest.mark.parametrize(
    ("letter", "outcome", "original"),
    [
        (LETTER, REFUSED, ORIGINAL),
        (evolve(LETTER, ret="HDRS"), REFUSED, ORIGINAL),
        (evolve(LETTER, ret="FULL"), Delayed(Reply(451, "4.4.1", "later")), ORIGINAL),
        (evolve(LETTER, ret="FULL"), Delivered(Reply(250, "2.0.0", "ok"), "local"), ORIGINAL),
        (evolve(LETTER, ret="FULL", require_tls=True), REFUSED, ORIGINAL),
        (evolve(LETTER, ret="FULL"), REFUSED, ORIGINAL + b"x" * 1000),
        (evolve(LETTER, ret="FULL"), REFUSED, ORIGINAL + b"\0"),
        (evolve(LETTER, ret="FULL"), REFUSED, b"X-Evil: \x1b[2J\n" + ORIGINAL),
    ],
    ids=["not asked", "hdrs", "delay", "success", "require tls", "long line", "nul", "control"],
)
def test_otherwise_its_header_comes_back(letter: Letter, outcome: Outcome, original: bytes) -> None:
    """RET is about failures, RFC 3461 §4.3; RFC 8689 §5 overrules it; and it has to be what 8bit can be."""
    raw = report(evolve(OCCASION, letter=letter), [Fate(wished(), outcome)], original)
    assert types(raw)[2] == "text/rfc822-headers"


def test_of_a_big_message_its_beginning_comes_back() -> None:
    """50 kB in whole lines, with the end of its multipart: a reader finds the text and the part that is cut."""
    head = b'Subject: big\nMIME-Version: 1.0\nContent-Type: multipart/mixed;\n boundary="=_x"\n\n'
    text = b"--=_x\nContent-Type: text/plain\n\nPlease look at this.\n"
    picture = b"--=_x\nContent-Type: image/png\nContent-Transfer-Encoding: base64\n\n" + b"iVBORw0KGgo=\n" * 100_000
    raw = report(FULL, [fate()], (head + text + picture)[: MAX_RETURNED + 1])
    assert len(raw) < MAX_RETURNED + 5_000
    *_, returned = parse(raw).iter_parts()
    assert returned["Content-Description"] == "The beginning of the message"
    (message,) = returned.iter_parts()
    first, second = message.iter_parts()
    assert first.get_content() == "Please look at this."
    assert second.get_content_type() == "image/png"


def test_big_message_whose_header_alone_is_too_long() -> None:
    original = b"".join(b"X-Filler: %06d\n" % number for number in range(5_000)) + b"\nbody\n"
    assert types(report(FULL, [fate()], original[: MAX_RETURNED + 1]))[2] == "text/rfc822-headers"


# ---- For people


def human(raw: bytes) -> EmailMessage:
    return next(parse(raw).iter_parts())  # type: ignore[return-value]


def test_subject_names_the_message_whatever_its_charset() -> None:
    for subject, shown in [
        (b"=?gb2312?B?xOO6ww==?=", "你好"),
        (b"=?utf-8?q?gr=C3=BC=C3=9Fe?=", "grüße"),
        ("grüße 你好".encode(), "grüße 你好"),
        (b"a\n b\n\tc", "a b\tc".replace("\t", " ")),
        (b"=?x-unknown?q?hi?=", "hi"),
        (b"=?utf-8?b?4pyT?= =?utf-8?q?_=0D=0ABcc:_x=40y?=", "✓ Bcc: x@y"),
        (b"", "(no subject)"),
    ]:
        message = parse(report(OCCASION, [fate()], b"Subject: " + subject + b"\n\n"))
        assert message["Subject"] == f"Undelivered mail: {shown}"
        assert message["Bcc"] is None


def test_long_subject_is_cut() -> None:
    raw = report(OCCASION, [fate()], b"Subject: " + "长".encode() * 5_000 + b"\n\n")
    assert 50 < len(parse(raw)["Subject"]) <= 120
    assert parse(raw)["Subject"].endswith("…")


def test_times_are_those_of_the_senders_clock() -> None:
    original = b"Date: Wed, 15 Nov 2023 06:13:20 +0800\nSubject: hello\n\n"
    text = human(report(OCCASION, [fate()], original)).get_content()
    assert 'Your message "hello" of Wed 15 Nov 2023, 06:13 (UTC+08:00) could' in " ".join(text.split())


def test_chinese_report_has_a_short_english_one_behind_it() -> None:
    raw = report(OCCASION, [fate()], ORIGINAL, "zh")
    assert parse(raw)["Subject"] == "退信 (Undelivered mail): hello"
    part = human(raw)
    assert part["Content-Language"] == "zh, en" and part.get_content_charset() == "utf-8"
    chinese, english = part.get_content().split("\n------------------------------\n")
    assert "由谁处理：您（发件人）。" in chinese and "的回复：550 5.1.1 No such user" in chinese
    assert "Who must act: You, the sender." in english and "No such user" not in english
    assert max(columns(line) for line in part.get_content().splitlines()) <= 78


def test_those_who_share_a_fate_stand_together() -> None:
    fates = [
        fate(evolve(REFUSED, reply=Reply(550, "5.1.1", f"<user{number}@example.com>: unknown")), address)
        for number in range(50)
        for address in [Address(f"user{number}", "example.com")]
    ]
    text, blocks, _ = parts(report(OCCASION, fates, ORIGINAL))
    assert text.count("What happened") == 1 and text.count("@example.com>\n") == 50
    assert len(blocks) == 51


def test_what_our_own_server_says_is_for_our_own_administrator() -> None:
    text, *_ = parts(report(OCCASION, [fate(Failed(Reply(452, "4.2.2", "Disk full"), "local"))], ORIGINAL))
    assert "Who must act: The administrator of your own mail server." in text
    assert "We have tried for the whole time allowed." in text


def test_who_must_act_before_it_is_too_late_is_told_in_a_delay() -> None:
    outcome = Delayed(
        Reply(451, "4.7.8", "The server does not accept our user name and password: 535"), "smart[::1]:25"
    )
    text = " ".join(parts(report(OCCASION, [fate(outcome)], ORIGINAL))[0].split())
    assert "Who must act: The administrator of your own mail server." in text
    assert "Meanwhile we try again by ourselves." in text


def test_each_is_told_until_when_it_is_tried() -> None:
    """Routes may have a lifetime of their own."""
    outcome = Delayed(Reply(451, "4.4.1", "later"))
    fates = [Fate(wished(), outcome, UNTIL), Fate(wished(address=ALICE), outcome, UNTIL + 86_400)]
    text = " ".join(parts(report(OCCASION, fates, ORIGINAL))[0].split())
    first, second = (text.index(f"trying until {moment(until, UTC, 'en')}") for until in (UNTIL, UNTIL + 86_400))
    assert first < text.index("<bob@example.com>") < second < text.index("<alice@office.test>")


def test_foreign_library_finds_the_recipients() -> None:
    delayed = fate(Delayed(Reply(451, "4.4.1", "later")), ALICE)
    for language in VOICES:
        raw = report(OCCASION, [fate(), delayed], ORIGINAL, language)
        assert all_failures(message_from_bytes(raw)) == ({b"alice@office.test"}, {b"bob@example.com"})


# ---- UTF-8: RFC 6533

USER = Address("用户", "xn--fsqu00a.xn--0zwm56d")
UTF8_HEADER = "Subject: 你好\nFrom: 用户@例子.测试\n\nbody\n".encode()


def utf8_parts(raw: bytes) -> tuple[list[str], str, str]:
    """Types, and what the second and the third part say."""
    message = message_from_bytes(raw, policy=policy.default)
    assert not message.defects
    found = list(message.iter_parts())  # type: ignore[attr-defined]
    contents = [part.get_payload(decode=True) or part.as_bytes().partition(b"\n\n")[2] for part in found[1:]]
    machine, returned = (quopri.decodestring(content).decode() for content in contents)
    return [part.get_content_type() for part in found], machine, returned


def test_utf8_letter_has_the_global_types() -> None:
    letter = evolve(LETTER, sender=USER, smtputf8=True)
    told = Fate(wished(orcpt="utf-8;\\x{7528}\\x{6237}@x.test", address=USER), REFUSED)
    raw = report(evolve(OCCASION, letter=letter), [told], UTF8_HEADER)
    kinds, machine, returned = utf8_parts(raw)
    assert kinds == ["text/plain", "message/global-delivery-status", "message/global-headers"]
    assert "Final-Recipient: utf-8;用户@例子.测试\n" in machine
    assert "Original-Recipient: utf-8;用户@x.test\n" in machine
    assert returned.startswith("Subject: 你好\n")
    assert "\nTo: 用户@例子.测试\n".encode() in raw


def test_whole_utf8_letter_is_message_global() -> None:
    letter = evolve(LETTER, smtputf8=True, ret="FULL")
    kinds, _, returned = utf8_parts(report(evolve(OCCASION, letter=letter), [fate()], UTF8_HEADER))
    assert kinds[2] == "message/global"
    assert returned.endswith("\n\nbody\n")


def test_report_to_an_ascii_sender_is_ascii_whatever_it_is_about() -> None:
    """The way back need not know SMTPUTF8 (RFC 6533 §4.5)."""
    letter = evolve(LETTER, smtputf8=True, ret="FULL")
    raw = report(evolve(OCCASION, letter=letter), [Fate(wished(address=USER), REFUSED)], UTF8_HEADER)
    assert raw.isascii()


def test_international_domain_alone_is_reported_in_ascii() -> None:
    told = Fate(wished(address=Address("bob", "xn--fsqu00a.test")), REFUSED)
    text, (_, recipient), _ = parts(report(OCCASION, [told], ORIGINAL))
    assert recipient["Final-Recipient"] == "rfc822;bob@xn--fsqu00a.test"
    assert "<bob@例子.test>" in text
