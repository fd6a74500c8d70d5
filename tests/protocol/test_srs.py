"""Return addresses: whoever is written into one is found again, and nobody else can be."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mailstack.model.address import Address
from mailstack.protocol.paths import BadPath, mailbox
from mailstack.protocol.srs import DAY, MAX_AGE, MAX_PATH, Fault, Srs, is_srs, stamp

NOW = 1_594_362_754.0
SRS = Srs(b"0" * 32, 26)
ALICE = Address("Alice", "far.test")


def outward(sender: Address, srs: Srs = SRS, now: float = NOW) -> Address:
    made = srs.outward(sender, "office.test", now)
    assert made is not None
    return made


def spelled(address: Address, local: str) -> Address:
    return Address(local, address.domain)


#: Whatever can stand in MAIL.
LOCALS = st.one_of(
    st.text("ab.=+-%!@ \"\\'", min_size=1, max_size=40),
    st.text(st.characters(min_codepoint=33, max_codepoint=0x2FFF), min_size=1, max_size=30),
    st.from_regex(r"SRS[01][=+-][A-Z0-9=]{0,20}", fullmatch=True),
)
DOMAINS = st.sampled_from(["far.test", "xn--fsqu00a.xn--0zwm56d", "[192.0.2.1]", "[ipv6:2001:db8::1]", "a", "x_y.test"])


@st.composite
def senders(draw: st.DrawFn) -> Address:
    address = Address(draw(LOCALS), draw(DOMAINS))
    try:
        found = mailbox(str(address))
    except BadPath:
        found = None
    assume(found == address)
    assert found is not None
    return found


@settings(max_examples=500)
@given(senders(), st.integers(0, 26))
def test_who_is_written_in_is_found_again(sender: Address, days: int) -> None:
    """Through MAIL and RCPT of other servers, on each day of its life."""
    made = SRS.outward(sender, "office.test", NOW)
    if made is None:
        assert not sender.isascii, "only a letter that melts with what stands before it"
        return
    assert mailbox(str(made)) == made
    assert is_srs(made)
    found = SRS.homeward(made, NOW + days * DAY)
    if is_srs(sender) and made.local.startswith("SRS1") and not sender.local.upper().startswith("SRS0"):
        assert isinstance(found, Address), "the first forwarder"
        assert found.local.startswith("SRS0")
    elif made.local.startswith("SRS1"):
        assert found == Address(f"SRS0{sender.local[4:]}", sender.domain)
    else:
        assert found == sender


@pytest.mark.parametrize(("ours", "theirs"), [("S", "\u017f"), ("I", "\u0131")])
def test_letters_whose_capital_is_one_of_ours(ours: str, theirs: str) -> None:
    """Case does not count, but a long s is no s, and an i without a dot no i."""
    for sender in (Address(f"alice{number}", "far.test") for number in range(30)):
        made = outward(sender)
        front, rest = made.local[:13], made.local[13:]
        for place in (place for place, letter in enumerate(front) if letter == ours):
            changed = front[:place] + theirs + front[place + 1 :] + rest
            assert SRS.homeward(spelled(made, changed), NOW) in (None, Fault.FORGED)


@settings(max_examples=500)
@given(st.data())
def test_whatever_is_changed_is_noticed(data: st.DataObject) -> None:
    """One character, in all places; but for the case of letters, and the three that may part the tag."""
    made = outward(data.draw(st.sampled_from([ALICE, Address("SRS0=AAAA=BB=x=y", "far.test")])))
    place = data.draw(st.integers(0, len(made.local) - 1))
    character = data.draw(st.characters(min_codepoint=33, max_codepoint=0x1FF))
    changed = made.local[:place] + character + made.local[place + 1 :]
    if changed.lower() == made.local.lower() or (place == 4 and character in "=+-"):
        return
    assert SRS.homeward(spelled(made, changed), NOW) in (None, Fault.FORGED)


@settings(max_examples=300)
@given(st.text("SRSsrs01=+-AB.é\u212a", max_size=30), st.sampled_from(["office.test", "other.test"]))
def test_no_text_leads_anywhere(local: str, domain: str) -> None:
    assert not isinstance(SRS.homeward(Address(local, domain), NOW), Address)


def test_the_form() -> None:
    """``SRS0=hash=stamp=domain=local-part``, and the same for the same day."""
    made = outward(ALICE)
    tag, hash, day, domain, local = made.local.split("=")
    assert (tag, len(hash), day, domain, local) == ("SRS0", 8, "AV", "far.test", "Alice")
    assert made == outward(ALICE, now=NOW + 1)
    assert made.domain == "office.test"


def test_the_case_of_letters_may_be_lost() -> None:
    made = outward(ALICE)
    assert SRS.homeward(spelled(made, made.local.lower()), NOW) == Address("alice", "far.test")
    assert SRS.homeward(spelled(made, made.local.upper()), NOW) == Address("ALICE", "far.test")


@pytest.mark.parametrize("separator", ["=", "+", "-"])
def test_the_tag_may_end_in_three_ways(separator: str) -> None:
    made = outward(ALICE)
    assert SRS.homeward(spelled(made, f"SRS0{separator}{made.local[5:]}"), NOW) == ALICE


def test_its_age() -> None:
    """26 days here; a clock that was a little ahead does no harm."""
    made = outward(ALICE)
    for days, found in {
        0: ALICE,
        26: ALICE,
        27: Fault.EXPIRED,
        -1: ALICE,
        -2: Fault.EXPIRED,
        900: Fault.EXPIRED,
    }.items():
        assert SRS.homeward(made, NOW + days * DAY) == found, days


def test_the_greatest_age() -> None:
    srs = Srs(b"0" * 32, MAX_AGE)
    made = outward(ALICE, srs)
    assert srs.homeward(made, NOW + MAX_AGE * DAY) == ALICE
    assert srs.homeward(made, NOW - DAY) == ALICE


def test_another_key() -> None:
    assert Srs(b"1" * 32, 26).homeward(outward(ALICE), NOW) is Fault.FORGED


@pytest.mark.parametrize(
    ("day", "written"),
    [
        ("2019-04-03", "SF"),  # of 17,989 days modulo 1,024 the two digits of base32
        ("2020-07-10", "AV"),
        ("2021-10-25", "PN"),
        ("2022-01-11", "R3"),
        ("2023-08-14", "D7"),
        ("2025-04-22", "XI"),
    ],
)
def test_the_stamp_is_that_of_other_forwarders(day: str, written: str) -> None:
    """But for the first, they were seen in public mail of those days."""
    assert stamp(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) == written


def test_what_was_forwarded_before_goes_back_to_the_first_forwarder() -> None:
    first = Address("SRS0=n1BA=AV=sender.test=bob", "first.test")
    second = outward(first)
    assert second.local.startswith("SRS1=")
    assert second.local.endswith("=first.test==n1BA=AV=sender.test=bob")
    assert SRS.homeward(second, NOW) == first
    third = outward(Address(second.local, "second.test"))
    assert third.local.partition("==")[2] == second.local.partition("==")[2], "it grows no further"
    assert SRS.homeward(third, NOW) == first


def test_the_separator_of_the_first_forwarder_is_kept() -> None:
    first = Address("srs0+n1BA=AV=sender.test=bob", "first.test")
    assert SRS.homeward(outward(first), NOW) == Address("SRS0+n1BA=AV=sender.test=bob", "first.test")


@pytest.mark.parametrize("local", ["SRS1=", "SRS1=x", "SRS1=x=y", "SRS1=x==z", "SRS1=x=-y=-z", "SRS1=x=y=z"])
def test_what_only_looks_forwarded_twice_is_an_ordinary_sender(local: str) -> None:
    sender = Address(local, "far.test")
    made = outward(sender)
    assert made.local.startswith("SRS0=")
    assert SRS.homeward(made, NOW) == sender


def test_a_path_that_would_be_too_long() -> None:
    """RFC 5321 §4.5.3.1.3; local parts above 64 octets are as usual among forwarders."""
    fits = MAX_PATH - len("<SRS0=HHHHHHHH=TT=far.test=@office.test>")
    assert len(f"<{outward(Address('x' * fits, 'far.test'))}>") == MAX_PATH
    assert SRS.outward(Address("x" * (fits + 1), "far.test"), "office.test", NOW) is None


def test_a_letter_that_melts_with_what_stands_before_it() -> None:
    """U+0338 behind "=" is "≠" in NFC, in which every address is kept."""
    assert SRS.outward(Address("\u0338x", "far.test"), "office.test", NOW) is None


@pytest.mark.parametrize("local", ["srs0", "srs0x", "SRS2=a=b=c=d", "xSRS0=a=b=c=d", "SRS0_a=b=c=d", ""])
def test_other_names(local: str) -> None:
    assert SRS.homeward(Address(local, "office.test"), NOW) is None


def test_the_key_is_not_shown() -> None:
    assert "0000" not in repr(SRS)
