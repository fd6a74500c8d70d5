"""The server's side of SCRAM-SHA-256: the example of RFC 7677 §3, and what it says to everything else."""

from __future__ import annotations

from base64 import b64decode, b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.protocol.sasl_steps import Agreed, Challenge, Lookup, Malformed, Opening, Proof
from mailstack.protocol.scram import Scram, derive, signature

SALT = b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
OPENING = Opening("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", SALT, 4096)
CLIENT_FIRST = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
SERVER_FIRST = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
CLIENT_FINAL = (
    b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
)
SERVER_FINAL = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def asked(scram: Scram, first: bytes = CLIENT_FIRST) -> Lookup:
    lookup = scram.step(first)
    assert isinstance(lookup, Lookup)
    return lookup


def challenged(scram: Scram, first: bytes = CLIENT_FIRST, opening: Opening = OPENING) -> Scram:
    asked(scram, first).supply(opening)
    scram.step(None)
    return scram


def proved(scram: Scram, final: bytes = CLIENT_FINAL) -> Proof:
    proof = scram.step(final)
    assert isinstance(proof, Proof)
    return proof


def test_the_example_of_the_rfc() -> None:
    scram = Scram()
    assert scram.step(None) == Challenge(b"")
    lookup = asked(scram)
    assert (lookup.name, lookup.flag) == ("user", "n")
    lookup.supply(OPENING)
    assert scram.step(None) == Challenge(SERVER_FIRST)
    proof = proved(scram)
    assert (proof.name, proof.authzid, proof.bound) == ("user", "", True)
    ours = signature(derive(b"pencil", SALT, 4096), proof)
    assert ours is not None
    proof.supply(ours)
    assert scram.step(None) == Challenge(SERVER_FINAL)
    assert scram.step(b"") == Agreed()


def test_another_password_has_no_signature() -> None:
    proof = proved(challenged(Scram()))
    assert signature(derive(b"pencils", SALT, 4096), proof) is None
    assert signature(derive(b"pencil", SALT, 4097), proof) is None


def test_an_old_answer_does_not_fit_a_new_nonce() -> None:
    """A replay: our part of the nonce is another one each time."""
    assert challenged(Scram(), opening=Opening("another", SALT, 4096)).step(CLIENT_FINAL) == Malformed()


@pytest.mark.parametrize(
    ("first", "name", "flag"),
    [
        (b"y,,n=a,r=x", "a", "y"),
        (b"n,,n=a=2Cb=3Dc,r=x", "a,b=c", "n"),
        ("n,,n=älice,r=x".encode(), "älice", "n"),
        (b"n,,n=a,r=x,y=an extension", "a", "n"),
    ],
)
def test_first_messages(first: bytes, name: str, flag: str) -> None:
    lookup = asked(Scram(), first)
    assert (lookup.name, lookup.flag) == (name, flag)


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"n=a,r=x",
        b"n,,n=a",
        b"n,,n=,r=x",
        b"n,,n=a,r=",
        b"n,,n=a=,r=x",
        b"n,,n=a=2c,r=x",
        b"n,,n=a\0,r=x",
        b"n,,n=a,r=x y",
        b"n,,n=\xff,r=x",
        b"n,,m=x,n=a,r=x",
        b"n,a=,n=a,r=x",
        b"n,a=\xff,n=a,r=x",
        b"N,,n=a,r=x",
        b"p=,,n=a,r=x",
        b"p=tls-exporter,,n=a,r=x",
        b"n,,n=a,r=x\n",
    ],
)
def test_first_messages_that_are_none(first: bytes) -> None:
    assert Scram().step(first) == Malformed()


def test_plus_is_bound_and_the_other_is_not() -> None:
    """RFC 5802 §6: the name of the mechanism and the flag say the same."""
    assert asked(Scram(plus=True), b"p=tls-exporter,,n=a,r=x").flag == "tls-exporter"
    for first in (b"n,,n=a,r=x", b"y,,n=a,r=x"):
        assert Scram(plus=True).step(first) == Malformed()


@pytest.mark.parametrize(
    ("header", "channel", "bound"),
    [
        (b"p=tls-exporter,,", b"p=tls-exporter,,the channel", True),
        (b"p=tls-exporter,,", b"p=tls-exporter,,another", False),
        (b"p=tls-exporter,,", b"p=tls-exporter,,", False),
        (b"p=tls-exporter,,", b"p=tls-unique,,the channel", False),
        (b"p=tls-exporter,a=a,", b"p=tls-exporter,,the channel", False),
    ],
)
def test_both_see_the_same_channel(header: bytes, channel: bytes, bound: bool) -> None:
    opening = Opening("y", SALT, 4096, b"the channel")
    scram = challenged(Scram(plus=True), header + b"n=a,r=x", opening)
    final = b"c=" + b64encode(channel) + b",r=xy,p=" + b64encode(bytes(32))
    assert proved(scram, final).bound is bound


@pytest.mark.parametrize(
    "final",
    [
        None,
        b"",
        CLIENT_FINAL.partition(b",p=")[0],
        CLIENT_FINAL.replace(b"$k0", b"$k1"),
        CLIENT_FINAL.replace(b"r=rOpr", b"r=rOps"),
        CLIENT_FINAL.replace(b"c=biws", b"c=?"),
        CLIENT_FINAL.replace(b"dHzb", b""),
        CLIENT_FINAL + b",x=y",
        b"c=biws,r=x,p=x",
    ],
)
def test_final_messages_that_are_none(final: bytes | None) -> None:
    assert challenged(Scram()).step(final) == Malformed()


def test_nothing_comes_after_our_proof() -> None:
    scram = challenged(Scram())
    proved(scram).supply(b"signature")
    scram.step(None)
    assert scram.step(b"x") == Malformed()


def test_secrets_do_not_show() -> None:
    keys = derive(b"pencil", SALT, 4096)
    assert repr(keys) == "Verifier(iterations=4096)"
    shown = repr(proved(challenged(Scram()))) + repr(OPENING) + repr(asked(Scram()))
    assert "proof" not in shown
    assert "message" not in shown


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_any_octets_are_answered(responses: list[bytes]) -> None:
    scram = Scram()
    for response in responses:
        step = scram.step(response)
        if not isinstance(step, Challenge):
            break
