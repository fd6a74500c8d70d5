"""What the postmaster reads of an account that sends too much."""

from __future__ import annotations

import email
import email.policy

from attrs import evolve

from mailstack.message.notice import MOST_NAMED, Damage, Excess, damage_notice, excess_notice
from mailstack.model.address import Address
from tests.message.meanings import VOICES

EXCESS = Excess(
    Address("alice", "office.test"),
    1000,
    1_000_000_000.0,
    1_000_003_000.0,
    ("192.0.2.7", "2001:db8::1", ""),
    "mail.office.test",
    Address("postmaster", "office.test"),
)


def test_notice() -> None:
    """Which account, how much, since when, from where, and what to do; no program answers it (RFC 3834)."""
    notice = email.message_from_bytes(excess_notice(EXCESS, "ID1", VOICES["en"]), policy=email.policy.default)
    assert notice["Subject"] == "alice@office.test sends too much"
    assert notice["To"] == "postmaster@office.test"
    assert notice["Auto-Submitted"] == "auto-generated"
    assert notice["Message-ID"] == "<ID1@mail.office.test>"
    text = notice.get_content()
    words = " ".join(text.split())
    assert "alice@office.test has sent mail to 1000 recipients since Sun 9 Sep 2001, 01:46 (UTC)." in words
    assert "  192.0.2.7\n  2001:db8::1\n  a program on this machine" in text
    assert "\n  mailstack user passwd alice@office.test\n" in text
    assert max(map(len, text.splitlines())) <= 78


def test_chinese() -> None:
    """With the English behind it; the command is the same."""
    notice = email.message_from_bytes(excess_notice(EXCESS, "ID1", VOICES["zh"]), policy=email.policy.default)
    assert notice["Subject"] == "alice@office.test 发信过多 (sends too much)"
    assert notice["Content-Language"] == "zh, en"
    text = notice.get_content()
    assert "本机上的程序" in text and text.count("\n  mailstack user passwd alice@office.test\n") == 2


def test_any_script() -> None:
    """The account as people write it, and a command that can be typed; no next hop needs SMTPUTF8 for it."""
    octets = excess_notice(evolve(EXCESS, account=Address.parse("用户@büro.test")), "ID1", VOICES["en"])
    assert octets.isascii()
    notice = email.message_from_bytes(octets, policy=email.policy.default)
    assert notice["Subject"] == "用户@büro.test sends too much"
    assert "\n  mailstack user passwd '用户@büro.test'\n" in notice.get_content()


def test_postmaster_in_any_script() -> None:
    """Whose address stands in the header as UTF-8 (RFC 6532)."""
    octets = excess_notice(evolve(EXCESS, postmaster=Address.parse("邮差@office.test")), "ID1", VOICES["en"])
    assert "\nTo: 邮差@office.test\n".encode() in octets
    assert octets.partition(b"\n\n")[2].isascii()


def damage(faults: dict[str, str], language: str = "en") -> email.message.EmailMessage:
    found = Damage(faults, 1_000_000_000.0, "mail.office.test", Address("postmaster", "office.test"))
    return email.message_from_bytes(damage_notice(found, "ID1", VOICES[language]), policy=email.policy.default)


def test_damage_is_named_with_what_to_do() -> None:
    notice = damage({"ID2": "its file is missing", "queue.db": "it is empty"})
    assert notice["Subject"] == "Damaged mail in the queue of mail.office.test"
    text = notice.get_content()
    assert "  ID2: its file is missing\n  queue.db: it is empty\n" in text
    assert "\n  mailstack queue fsck\n" in text and "2 in all" in " ".join(text.split())
    text = damage({"ID2": "its file is missing"}, "zh").get_content()
    assert "有 1 处损坏" in text and text.count("\n  mailstack queue fsck\n") == 2


def test_damage_may_be_much_and_its_names_anything() -> None:
    faults = {f"ID{number}": "x" for number in range(MOST_NAMED)}
    text = damage({"a\udcff\nb": "it \x00 is " + "y" * 500, **faults}).get_content()
    assert f"ID{MOST_NAMED - 2}: x\n  ... (+1)\n" in text
    assert "  a? b: " in text and max(map(len, text.splitlines())) < 420
