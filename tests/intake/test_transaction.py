"""From MAIL to the last octet: what is stored, and the measures of it."""

from __future__ import annotations

import errno
import zlib

import pytest

from mailstack.config.settings import Limits
from mailstack.intake.transaction import (
    DISK_FULL,
    HEADER_TOO_BIG,
    OUR_FAULT,
    TOO_BIG,
    Edit,
    Transaction,
    disk_reply,
)
from mailstack.message.trace import Hop
from mailstack.model.address import Address
from mailstack.model.letter import Recipient
from mailstack.model.reply import Reply
from mailstack.protocol.smtp_events import Mail, Rcpt
from tests import cuts
from tests.intake.office import NOW, RefusingSpool

HOP = Hop("client.test", "192.0.2.7", "mail.office.test", "ESMTP", "")
SENDER = Address("friend", "far.test")
MAIL = Mail(SENDER)


def recipient(name: str, original: str = "") -> Recipient:
    return Recipient(Address(name, "office.test"), Address(original or name, "office.test"))


def begun(
    spool: RefusingSpool,
    *names: str,
    max_size: int = 1000,
    max_header: int = 1000,
    edit: Edit | None = None,
    mail: Mail = MAIL,
) -> Transaction:
    transaction = Transaction(mail, Limits(message_size=max_size, header_size=max_header), edit)
    transaction.add(tuple(map(recipient, names or ("alice",))), Rcpt(SENDER))
    transaction.begin(spool, "ID1", HOP, NOW)
    return transaction


def stored(spool: RefusingSpool) -> bytes:
    (incoming,) = spool.begun
    return incoming.content


@pytest.fixture
def spool() -> RefusingSpool:
    return RefusingSpool()


@pytest.mark.parametrize("body", [b"", b"Subject: x\n\nbody\n", b"body\n", b"x: \xff\n", b"\nbody\n"])
def test_letter_has_the_measures_of_its_file(spool: RefusingSpool, body: bytes) -> None:
    """However the body was cut: these are what POP3 sizes, relaying and repairs rely on."""
    for pieces in cuts.everywhere(body):
        spool.begun.clear()
        transaction = begun(spool)
        for piece in pieces:
            transaction.body(piece, piece.count(b"\n"))
        content = stored(spool)
        letter = transaction.letter()
        assert letter.size == len(content)
        assert letter.lines == content.count(b"\n")
        assert letter.wire_size == len(content.replace(b"\n", b"\r\n"))
        assert letter.checksum == zlib.crc32(content)
        assert letter.eight_bit == (not body.isascii())
        assert content[: letter.relay_offset] == (b"Return-Path: <friend@far.test>\nDelivered-To: alice@office.test\n")
        assert content[letter.relay_offset :].startswith(b"Received: ")
        assert content.endswith(b"\n" * (body == b"body\n") + body)
        assert transaction.verdict(stray=False) is None


def test_each_target_once(spool: RefusingSpool) -> None:
    """Named twice, directly and by an alias, it stays as it was first given."""
    transaction = Transaction(MAIL, Limits())
    transaction.add((recipient("alice", "boss"), recipient("bob", "boss")), Rcpt(SENDER))
    transaction.add((recipient("alice"),), Rcpt(SENDER))
    assert transaction.recipients == (recipient("alice", "boss"), recipient("bob", "boss"))


@pytest.mark.parametrize(("size", "refusal"), [(1000, None), (1001, TOO_BIG)])
def test_size_is_that_of_the_wire(spool: RefusingSpool, size: int, refusal: object) -> None:
    """As SIZE means it (RFC 1870 §3): with CRLF. What we add does not count."""
    transaction = begun(spool)
    body = b"x: 1\n\n" + b"y\n" * 300
    body += b"z" * (size - len(body) - body.count(b"\n") - 2) + b"\n"
    for octet in range(len(body)):
        transaction.body(body[octet : octet + 1], body.count(b"\n", octet, octet + 1))
    assert transaction.verdict(stray=False) == refusal


def test_too_big_is_not_kept(spool: RefusingSpool) -> None:
    """Not a moment longer: the rest may be large."""
    transaction = begun(spool, max_size=100)
    transaction.body(b"x" * 101, 0)
    assert not spool.begun
    transaction.body(b"x" * 1000, 0)
    assert not spool.begun
    transaction.discard()


@pytest.mark.parametrize(("size", "refusal"), [(100, None), (101, HEADER_TOO_BIG)])
@pytest.mark.parametrize("end", [b"\nbody\n" * 9, b""])
@pytest.mark.parametrize("edit", [None, lambda header, id, now: header])
def test_header_size_is_that_of_the_wire(
    spool: RefusingSpool, size: int, refusal: object, end: bytes, edit: Edit | None
) -> None:
    """With CRLF, up to the blank line; that of the body does not matter. The same in whatever pieces it comes."""
    header = b"x: 1\n" + b"y" * (size - 12) + b":\n \n"
    assert len(header.replace(b"\n", b"\r\n")) == size
    message = header + end
    for pieces in ([message], cuts.at(message, range(len(message)))):
        spool.begun.clear()
        transaction = begun(spool, max_size=10_000, max_header=100, edit=edit)
        for piece in pieces:
            transaction.body(piece, piece.count(b"\n"))
        assert transaction.verdict(stray=False) == refusal
        assert bool(spool.begun) == (refusal is None)


def test_endless_header_is_not_kept(spool: RefusingSpool) -> None:
    """Not while it is held back, either."""
    transaction = begun(spool, max_size=10**9, edit=lambda header, id, now: header)
    for _ in range(1000):
        transaction.body(b"x: y\n" * 1000, 1000)
        assert len(transaction.header.octets) <= 1000 + 5000
    assert not spool.begun
    assert transaction.verdict(stray=False) == HEADER_TOO_BIG


@pytest.mark.parametrize("message", [b"", b"x: 1\n", b"x: 1\n y\n\nbody\n\nmore\n", b"\nbody\n", b"no field\n\nbody\n"])
def test_header_is_edited_once_whole(spool: RefusingSpool, message: bytes) -> None:
    """One call with all of it; the rest is as it came, and the measures are those of the file."""
    for pieces in cuts.everywhere(message):
        spool.begun.clear()
        seen: list[bytes] = []

        def edit(header: bytes, id: str, now: float, seen: list[bytes] = seen) -> bytes:
            assert (id, now) == ("ID1", NOW)
            seen.append(header)
            return b"Message-ID: <1>\n" + header.upper()

        transaction = begun(spool, edit=edit)
        for piece in pieces:
            transaction.body(piece, piece.count(b"\n"))
        assert transaction.verdict(stray=False) is None
        header = message[: max(0, message.find(b"\n\n")) + 1] if b":" in message[:2] else b""
        header = message if message == b"x: 1\n" else header
        assert seen == [header]
        content = stored(spool)
        blank = b"\n" if message.startswith(b"no") else b""
        assert content.endswith(b"\nMessage-ID: <1>\n" + header.upper() + blank + message.removeprefix(header))
        assert transaction.letter().size == len(content)
        assert transaction.letter().checksum == zlib.crc32(content)
        assert transaction.header.message_id == "<1>"


@pytest.mark.parametrize("edit", [None, lambda header, id, now: header])
@pytest.mark.parametrize(
    ("message", "kept"),
    [(b"text", b"\n\ntext"), (b"some text", b"\n\nsome text"), (b"x: 1", b"\nx: 1"), (b"x: 1\n\ny", b"\nx: 1\n\ny")],
)
def test_last_line_without_its_end(spool: RefusingSpool, message: bytes, kept: bytes, edit: Edit | None) -> None:
    """BDAT may bring such a message: nothing of it is lost."""
    for pieces in cuts.everywhere(message):
        spool.begun.clear()
        transaction = begun(spool, edit=edit)
        for piece in pieces:
            transaction.body(piece, piece.count(b"\n"))
        assert transaction.verdict(stray=False) is None
        assert stored(spool).endswith(b"+0000" + kept)
        assert transaction.letter().size == len(stored(spool))


def test_edit_may_refuse(spool: RefusingSpool) -> None:
    """Nothing is kept then; what else comes is dropped."""
    refusal = Reply(553, "5.7.1", "no")
    transaction = begun(spool, edit=lambda header, id, now: refusal)
    for piece in (b"x: 1\n", b"\n", b"body\n"):
        transaction.body(piece, piece.count(b"\n"))
    assert not spool.begun
    assert transaction.verdict(stray=False) == refusal


def test_stray_is_told_before_all_else(spool: RefusingSpool) -> None:
    transaction = begun(spool, max_size=1)
    transaction.body(b"a\rb\n", 1)
    refusal = transaction.verdict(stray=True)
    assert refusal is not None
    assert refusal.status == "5.6.0"


def test_second_data_after_an_error(spool: RefusingSpool) -> None:
    """What the first one began is not left lying about."""
    transaction = begun(spool)
    transaction.begin(spool, "ID2", HOP, NOW)
    assert len(spool.begun) == 1
    transaction.body(b"x: 1\n", 1)
    assert transaction.letter().size == len(stored(spool))


def test_disk_that_fails_while_we_forget(spool: RefusingSpool) -> None:
    """There is nobody to tell, and nothing to do that the next start does not do."""
    transaction = begun(spool)
    spool.discard_error = OSError(errno.EIO, "Input/output error")
    transaction.discard()
    transaction.discard()
    assert transaction.content is None


@pytest.mark.parametrize(
    ("number", "reply"),
    [(errno.ENOSPC, DISK_FULL), (errno.EDQUOT, DISK_FULL), (errno.EIO, OUR_FAULT), (None, OUR_FAULT)],
)
def test_disk_reply(number: int | None, reply: object) -> None:
    assert disk_reply(OSError(number, "") if number else OSError("no number")) == reply


# ---- What the sender wants to hear: RFC 3461 §5.2.7


def wishes(*added: tuple[tuple[Recipient, ...], str], mail: Mail = MAIL) -> dict[str, str]:
    """By address, what is kept when recipients are added with these NOTIFY; ``*`` marks what was expanded."""
    transaction = Transaction(mail, Limits())
    for recipients, notify in added:
        transaction.add(recipients, Rcpt(recipients[0].original, frozenset(notify.split())))
    transaction.begin(RefusingSpool(), "ID1", HOP, NOW)
    return {
        f"{'*' * each.expanded}{each.address.local}": " ".join(sorted(each.notify))
        for each in transaction.letter().recipients
    }


ALICE = recipient("alice")
TEAM = (recipient("alice", "team"), recipient("bob", "team"))


def test_alias_for_one_is_transparent() -> None:
    assert wishes(((recipient("alice", "boss"),), "SUCCESS DELAY")) == {"alice": "DELAY SUCCESS"}


def test_alias_for_several_is_expanded_where_success_was_asked_for() -> None:
    assert wishes((TEAM, "SUCCESS")) == {"alice": "NEVER", "bob": "NEVER", "*team": "SUCCESS"}
    assert wishes((TEAM, "SUCCESS FAILURE")) == {"alice": "FAILURE", "bob": "FAILURE", "*team": "SUCCESS"}
    assert wishes((TEAM, "DELAY")) == {"alice": "DELAY", "bob": "DELAY"}
    assert wishes((TEAM, "")) == {"alice": "", "bob": ""}


def test_null_sender_is_not_told_of_an_expansion() -> None:
    """A report to nobody would be logged as a bounce that was dropped."""
    assert wishes((TEAM, "SUCCESS"), mail=Mail(None)) == {"alice": "NEVER", "bob": "NEVER"}


def test_who_is_named_twice_is_told_of_the_success_that_was_asked_for() -> None:
    """Otherwise the first counts."""
    assert wishes((TEAM, ""), ((ALICE,), "SUCCESS")) == {"alice": "SUCCESS", "bob": ""}
    assert wishes(((ALICE,), "SUCCESS"), (TEAM, "NEVER")) == {"alice": "SUCCESS", "bob": "NEVER"}
    assert wishes(((ALICE,), ""), ((ALICE,), "NEVER")) == {"alice": ""}


def test_expanded_alias_counts_for_nothing_else(spool: RefusingSpool) -> None:
    """Neither is it a recipient of the message, nor does it hide that another one is alone."""
    transaction = Transaction(MAIL, Limits())
    transaction.add(TEAM, Rcpt(SENDER, frozenset({"SUCCESS"})))
    assert [each.address.local for each in transaction.recipients] == ["alice", "bob"]


# ---- SMTPUTF8: RFC 6531


@pytest.mark.parametrize(
    ("said", "header", "body", "needed"),
    [(True, "ü", "x", True), (True, "x", "ü", False), (True, "x", "x", False), (False, "ü", "x", False)],
)
def test_what_the_next_hop_must_know(spool: RefusingSpool, said: bool, header: str, body: str, needed: bool) -> None:
    """The parameter alone asks for nothing, if all of the header is ASCII; without it 8-bit is just 8-bit."""
    transaction = begun(spool, mail=Mail(SENDER, smtputf8=said))
    content = f"Subject: {header}\n\n{body}\n".encode()
    transaction.body(content, content.count(b"\n"))
    assert transaction.letter().smtputf8 == needed


def test_our_own_fields_ask_for_nothing_more(spool: RefusingSpool) -> None:
    """An alias that is not ASCII is not named in Received where the address behind it is."""
    transaction = Transaction(Mail(SENDER, smtputf8=True), Limits())
    transaction.add((Recipient(Address("alice", "far.test"), Address("用户", "office.test")),), Rcpt(SENDER))
    transaction.begin(spool, "ID1", HOP, NOW)
    transaction.body(b"Subject: x\n", 1)
    assert not transaction.letter().smtputf8
    assert stored(spool).isascii()
