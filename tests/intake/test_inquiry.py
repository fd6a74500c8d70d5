"""VRFY and EXPN where names are not as simple as in the dialogues."""

from __future__ import annotations

import pytest

from mailstack.interfaces.accounts import Resolution
from mailstack.model.address import Address
from mailstack.protocol.smtp_events import Verify
from mailstack.protocol.srs import Srs
from tests.fakes import at_once
from tests.fakes_accounts import MemoryDirectory
from tests.intake.office import NEIGHBOUR, STRANGER, Office

DOMAINS = ("office.test", "second.test")
ACCOUNTS = ("alice@office.test", "alice@second.test", "carol@second.test")
ALIASES = {
    "sales@office.test": ("alice@office.test",),
    "sales@second.test": ("carol@second.test", "friend@far.test"),
    "all@office.test": ACCOUNTS,
    "all@second.test": ACCOUNTS,
    "gone@office.test": ("x@far.test", "y@far.test"),
}


class DoubtfulDirectory(MemoryDirectory):
    """Nobody can tell what ``carol`` is; ``any`` is caught by a catch-all."""

    def rule(self, address: Address) -> str:
        return {"carol": "unsure", "any": "catch-all"}.get(address.local) or super().rule(address)


def ask(question: str, directory: MemoryDirectory | None = None, client: str = NEIGHBOUR) -> str:
    verb, _, argument = question.partition(" ")
    office = Office(directory=directory or MemoryDirectory(ACCOUNTS, ALIASES, DOMAINS, Srs(bytes(32), max_age=26)))
    return at_once(office.reception(client).decide(Verify(verb, argument))).wire().decode()


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("VRFY carol", "250 2.1.5 <carol@second.test>\r\n"),
        ("VRFY alice@second.test", "250 2.1.5 <alice@second.test>\r\n"),
        (
            "VRFY alice",
            "553-5.1.4 Ambiguous; possibilities are\r\n"
            "553-5.1.4 <alice@office.test>\r\n553 5.1.4 <alice@second.test>\r\n",
        ),
        (
            "EXPN sales",
            "553-5.1.4 Ambiguous; possibilities are\r\n"
            "553-5.1.4 <sales@office.test>\r\n553 5.1.4 <sales@second.test>\r\n",
        ),
        ("VRFY postmaster", "250 2.1.5 <postmaster@office.test>\r\n"),
        ("VRFY sales@second.test", "250-2.1.5 <carol@second.test>\r\n250 2.1.5 <friend@far.test>\r\n"),
        (
            "VRFY gone",
            "251-2.1.5 User not local; will forward to <x@far.test>\r\n"
            "251 2.1.5 User not local; will forward to <y@far.test>\r\n",
        ),
        (
            "VRFY SRS0=HAVKFURZ=AA=far.test=friend@office.test",
            "251 2.1.5 User not local; will forward to <friend@far.test>\r\n",
        ),
        ("VRFY SRS0=AAAAAAAA=AA=far.test=friend@office.test", "550 5.1.1 No such user here\r\n"),
        ("EXPN SRS0=HAVKFURZ=AA=far.test=friend@office.test", "550 5.2.4 That is a user name, not a mailing list\r\n"),
        ("VRFY nobody", "550 5.1.1 No such user here\r\n"),
        ('VRFY "a b"@office.test', "550 5.1.1 No such user here\r\n"),
    ],
)
def test_names_in_several_domains(question: str, answer: str) -> None:
    """Ambiguous is a name that leads to different mailboxes, not one that means the same everywhere."""
    assert ask(question) == answer


def test_the_same_list_in_all_domains_is_not_ambiguous() -> None:
    assert ask("EXPN all").count("\r\n") == len(ACCOUNTS)


@pytest.mark.parametrize("question", ["VRFY carol", "EXPN carol@office.test"])
def test_lists_that_cannot_be_read(question: str) -> None:
    assert ask(question, DoubtfulDirectory(ACCOUNTS, ALIASES, DOMAINS)).startswith("451 4.3.0 ")


def test_a_catch_all_is_no_list() -> None:
    directory = DoubtfulDirectory([*ACCOUNTS, "any@office.test"], ALIASES, DOMAINS)
    assert ask("VRFY any", directory) == "250 2.1.5 <any@office.test>\r\n"
    assert ask("EXPN any", directory).startswith("550 5.2.4 ")


def test_for_strangers_nothing_is_looked_up() -> None:
    """So the time tells nothing either."""

    class Untouched(MemoryDirectory):
        def resolve(self, address: Address) -> Resolution:
            raise AssertionError("looked up")

        def rule(self, address: Address) -> str:
            raise AssertionError("looked up")

    directory = Untouched(ACCOUNTS, ALIASES, DOMAINS)
    names = ("alice", "nobody", "alice@office.test", "x@far.test", "<>")
    assert len({ask(f"{verb} {name}", directory, STRANGER) for verb in ("VRFY", "EXPN") for name in names}) == 1


def test_an_address_beyond_ascii_is_told_to_who_can_read_it() -> None:
    """RFC 6531 §3.7.4.2."""
    office = Office(directory=MemoryDirectory(ACCOUNTS, {"list@office.test": ["阿丽@far.test"]}, DOMAINS))
    reception = office.reception(NEIGHBOUR)
    assert str(at_once(reception.decide(Verify("EXPN", "list")))).startswith("252 2.6.8 ")
    assert at_once(reception.decide(Verify("EXPN", "list", smtputf8=True))).wire().decode() == (
        "250 2.1.5 <阿丽@far.test>\r\n"
    )
