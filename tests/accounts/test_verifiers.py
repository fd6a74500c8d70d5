"""Keys for SCRAM in the users file."""

from __future__ import annotations

from base64 import b64decode
from pathlib import Path

import pytest

from mailstack.accounts import passwords, saslprep, verifiers
from mailstack.accounts.users import Account, parse
from mailstack.accounts.users_file import UsersFile
from mailstack.model.address import Address
from mailstack.protocol.scram import derive

ALICE = Address("alice", "office.test")
HASH = "{SSHA}m7A2tFeqNpnYliQA7oN1n9UeVDq82VsY"
KEYS = verifiers.text(derive(b"se cret", verifiers.salt(HASH), 4096))

#: ``doveadm pw -s SCRAM-SHA-256 -p 'se cret'``
BY_DOVECOT = (
    "{SCRAM-SHA-256}4096,XuPMYcIXRH4Wa9gEC/zYNA==,96gE0S0uk3PByGEpvm5PRnvG/H68fJNEDNrAhCUbiPA=,"
    "oQtBM548q0x9JoSzR1ZzBMEfct9UVoZfOb7y1P7h+Jo="
)


def account(line: str) -> Account:
    return parse(f"{line}\n", Path("users"), ("office.test",)).accounts["alice@office.test"]


def test_keys_are_made_with_the_password() -> None:
    keys = verifiers.parse(verifiers.make(HASH, "se cret"))
    assert keys == derive(b"se cret", keys.salt, verifiers.ITERATIONS)
    assert 4096 <= keys.iterations <= 65536  # RFC 7677 §4, and what Cyrus SASL takes


def test_keys_stand_beside_the_hash() -> None:
    found = account(f"alice@office.test:{HASH}:1000:1000::/home::a=b scram_sha_256={KEYS} c=d")
    assert found.keys == verifiers.parse(KEYS)
    assert found.scram


def test_keys_do_not_outlive_the_hash() -> None:
    """Whoever locks an account by hand, or gives it another hash, need not know of the keys."""
    for hash in ("", "*", "!" + HASH, "{SSHA}wJo8de1rorOX5g4nPDOiUfnoOCkblB/s"):
        assert account(f"alice@office.test:{hash}::::::scram_sha_256={KEYS}").keys is None


@pytest.mark.parametrize("keys", ["", "x", "4096", "0" + KEYS[4:], KEYS + ",x", KEYS[:-8], "x" + KEYS])
def test_keys_that_cannot_be_understood_are_none(keys: str) -> None:
    found = account(f"alice@office.test:{HASH}::::::scram_sha_256={keys}")
    assert not found.scram


def test_dovecot_has_a_scheme_for_them() -> None:
    """Then they are all that there is, and PLAIN is checked against them."""
    found = account(f"alice@office.test:{BY_DOVECOT}")
    assert found.keys == derive(b"se cret", b64decode("XuPMYcIXRH4Wa9gEC/zYNA=="), 4096)
    assert passwords.trouble(found.password) is None
    assert passwords.verify(found.password, "se cret")
    assert not passwords.verify(found.password, "secret")
    assert not passwords.verify(found.password, "\udcff")


def test_a_password_in_clear_is_enough() -> None:
    assert account("alice@office.test:{PLAIN}se cret").scram
    assert passwords.clear("{CLEARTEXT}se cret") == "se cret"
    assert passwords.clear("{PLAIN.HEX}73") == "s"
    assert passwords.clear("{PLAIN.HEX}x") is None
    assert passwords.clear(HASH) is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"alice@office.test:{HASH}", "alice@office.test:new::::::scram_sha_256=keys"),
        (f"alice@office.test:{HASH}:", "alice@office.test:new::::::scram_sha_256=keys"),
        (f"alice@office.test:{HASH}:1:2::/home", "alice@office.test:new:1:2::/home::scram_sha_256=keys"),
        (
            f"alice@office.test:{HASH}:1:2::/h::a=b  c=d:e",
            "alice@office.test:new:1:2::/h::a=b  c=d:e scram_sha_256=keys",
        ),
        (
            f"alice@office.test:{HASH}::::::scram_sha_256={KEYS} a=b",
            "alice@office.test:new::::::a=b scram_sha_256=keys",
        ),
        (f"alice@office.test:{HASH}\r", "alice@office.test:new::::::scram_sha_256=keys\r"),
    ],
)
def test_a_new_password_replaces_the_keys_and_nothing_else(before: str, after: str, tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.write_bytes(f"{before}\nbob@office.test:x\n".encode())
    UsersFile(path).set_password(ALICE, "new", "keys")
    assert path.read_bytes() == f"{after}\nbob@office.test:x\n".encode()


def test_without_new_keys_the_old_ones_go(tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.write_text(f"alice@office.test:{HASH}:::::a=b:scram_sha_256={KEYS}\n")
    UsersFile(path).set_password(ALICE, "new")
    assert path.read_text() == "alice@office.test:new:::::a=b:\n"


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        ("se cret", "se cret"),
        ("I\u00adX", "IX"),
        ("\u2168", "IX"),
        ("p\u00a0w", "p w"),
        ("ä\x07", "ä\x07"),
        ("\udcff", "\udcff"),
    ],
)
def test_saslprep(text: str, prepared: str) -> None:
    """RFC 4013 §3; what it forbids stays as it is."""
    assert saslprep.prepared(text) == prepared
