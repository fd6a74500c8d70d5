"""The client's side of SCRAM-SHA-256: the example of RFC 7677 §3, against our own server, and against liars."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.protocol.sasl_steps import Challenge, Lookup, Opening, Proof
from mailstack.protocol.scram import Scram, derive, signature
from mailstack.protocol.scram_client import Distrust, ScramClient
from tests.protocol.test_scram import CLIENT_FINAL, CLIENT_FIRST, SERVER_FINAL, SERVER_FIRST

NONCE = "rOprNGfwEbeRWgbNEkqO"


def begun() -> ScramClient:
    client = ScramClient("user", b"pencil", NONCE)
    assert client.first() == CLIENT_FIRST
    return client


def test_the_example_of_the_rfc() -> None:
    client = begun()
    assert client.final(SERVER_FIRST) == CLIENT_FINAL
    client.verify(SERVER_FINAL)


@settings(max_examples=20)
@given(st.text("a=,\u00e9@", min_size=1), st.binary(min_size=1, max_size=20))
def test_with_our_server(name: str, password: bytes) -> None:
    """Names with ``=`` and ``,`` too."""
    client, server = ScramClient(name, password, "mine"), Scram()
    lookup = server.step(client.first())
    assert isinstance(lookup, Lookup)
    assert lookup.name == name
    lookup.supply(Opening("yours", b"salt", 4096))
    challenge = server.step(None)
    assert isinstance(challenge, Challenge)
    proof = server.step(client.final(challenge.text))
    assert isinstance(proof, Proof)
    found = signature(derive(password, b"salt", 4096), proof)
    assert found is not None
    proof.supply(found)
    last = server.step(None)
    assert isinstance(last, Challenge)
    client.verify(last.text)


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        b"r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        b"r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=1",
        b"r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4000000000",
        b"r=rOprNGfwEbeRWgbNEkqOx,s=W,i=4096",
        b"m=x,r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
    ],
)
def test_a_first_message_that_is_wrong(first: bytes) -> None:
    with pytest.raises(Distrust):
        begun().final(first)


@pytest.mark.parametrize("last", [b"", b"v=", b"e=invalid-proof", SERVER_FINAL[:-2] + b"5="])
def test_a_server_that_does_not_know_the_password(last: bytes) -> None:
    client = begun()
    client.final(SERVER_FIRST)
    with pytest.raises(Distrust):
        client.verify(last)


def test_no_proof_before_the_challenge() -> None:
    with pytest.raises(Distrust):
        begun().verify(SERVER_FINAL)
