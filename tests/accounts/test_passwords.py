"""Password schemes. The hashes are of ``doveadm pw -p 'se cret'``, Dovecot 2.3."""

from __future__ import annotations

import argon2
import pytest

from mailstack.accounts import passwords
from mailstack.accounts.schemes import UnusablePassword

BY_DOVECOT = [
    "{SSHA}m7A2tFeqNpnYliQA7oN1n9UeVDq82VsY",
    "{SSHA256}wJo8de1rorOX5g4nPDOiUfnoOCkblB/sQsV9M3mG9RN/YAFN",
    "{SSHA512}WRuXWysu2ya0QvAzF3/8gobEYJC19xf7LewokVPoeeWo09eQHk8CtgPCNChrjTHz93y7f87wU3EYH7ZHM7zRRpaz9Zw=",
    "{SHA}MzVTQ5LSgIxlpOaxDZ8h6reSDs8=",
    "{SHA1}MzVTQ5LSgIxlpOaxDZ8h6reSDs8=",
    "{SHA256}reSNrBcoLHG+bybDBP86TsIQnDB+5NvyNfLuuAxjd+0=",
    "{SHA512}mDjOEWUgtuR8xY+JsPAuHmbC2krIVL4FrR4alUFYO3AxKPI/8S5ePKKmBrxRGQjF6XsD5jB71w5pAoD3fDd5Bg==",
    "{SMD5}4RJkExCsHCVLNA8l9O6O3xQCRdM=",
    "{LDAP-MD5}zIVlSyjNksp+5oikZqaFtg==",
    "{PLAIN-MD5}cc85654b28cd92ca7ee688a466a685b6",
    "{SHA512-CRYPT}$6$pXodnUFpX9GLDjex$HlhFyg0ll4mhycmOM6mQqw7y/9c1KiHLZlnmscq9is9VyCyLt0IRMhofif1QvkBD4DbV9gsjLf"
    "//dopGeZOOf/",
    "{SHA256-CRYPT}$5$G4IUO9Fljl1gJUFL$I9Aw2YJysv43QF4iHow1KjM7FZD3f2yDA1IKzw.M0X4",
    "{MD5-CRYPT}$1$ne1irz4E$V7dvmarN4umRi8rxs9hgx/",
    "{DES-CRYPT}hMchiMXmhtXvc",
    "{PBKDF2}$1$V7upfHw5j/34Mngn$5000$1309c35db3c5a7ae0c1e36c3e6a78489bf40e503",
    "{ARGON2I}$argon2i$v=19$m=32768,t=4,p=1$IikWjqI8w0zdMGGGWUuL/w$r+0hmFDdxg5+bOTmggMN8FYMybHbinSXTTjO36yA59M",
    "{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$TIpvbjZC1IKTDut9FpFk0A$QU/AiLOO1IKLVy1DUqfmc4eB6g/6+Gmznr49gB0h3u8",
    "{PLAIN}se cret",
    "{SSHA.HEX}b53c4e55ce512fcaa82e16afcc544784d4e6956c353e907d",
    "{SHA256.HEX}ade48dac17282c71be6f26c304ff3a4ec2109c307ee4dbf235f2eeb80c6377ed",
    "{ssha.b64}m7A2tFeqNpnYliQA7oN1n9UeVDq82VsY",
    # Without a scheme it is {CRYPT}, which goes by the prefix.
    "$5$G4IUO9Fljl1gJUFL$I9Aw2YJysv43QF4iHow1KjM7FZD3f2yDA1IKzw.M0X4",
    "{CRYPT}$1$ne1irz4E$V7dvmarN4umRi8rxs9hgx/",
]


@pytest.mark.parametrize("stored", BY_DOVECOT, ids=lambda stored: stored[:20])
def test_what_dovecot_writes_is_checked(stored: str) -> None:
    assert passwords.trouble(stored) is None
    assert passwords.verify(stored, "se cret")
    assert not passwords.verify(stored, "se cres")


@pytest.mark.parametrize(
    ("stored", "wrong"),
    [
        ("", "no password"),
        ("{NONSENSE}x", "{NONSENSE} is not known"),
        ("{SCRAM-SHA-256}4096,x", "{SCRAM-SHA-256}"),
        ("{SSHA}short", "{SSHA}"),
        ("{SSHA}????", "{SSHA}"),
        ("{SHA256.HEX}xyz", "{SHA256}"),
        ("{ARGON2ID}garbage", "{ARGON2ID}"),
        ("{PBKDF2}$1$salt$x$00", "{PBKDF2}"),
        ("{PBKDF2}$9", "{PBKDF2}"),
        ("{SHA512-CRYPT}$6$bad", "{SHA512-CRYPT}"),
        ("{CRYPT}$y$j9T$salt$hash", "{CRYPT}"),
        ("{CRYPT}ä", "{CRYPT}"),
        ("garbage", "{CRYPT}"),
    ],
)
def test_what_cannot_be_checked_is_told_without_an_exception_of_its_own(stored: str, wrong: str) -> None:
    assert wrong in str(passwords.trouble(stored))
    with pytest.raises(UnusablePassword):
        passwords.verify(stored, "x")


def test_a_new_password_is_argon2id_with_64_mib() -> None:
    stored = passwords.make("pässword")
    assert stored.startswith("{ARGON2ID}$argon2id$v=19$m=65536,")
    assert passwords.verify(stored, "pässword")


def test_the_dummy_costs_what_a_new_password_costs() -> None:
    """Or an unknown user would be told from a known one by the time it takes."""
    ours = argon2.extract_parameters(argon2.PasswordHasher().hash("x"))
    assert argon2.extract_parameters(passwords.DUMMY.removeprefix("{ARGON2ID}")) == ours


def test_made_up_passwords_are_long_and_differ() -> None:
    made = {passwords.made_up() for _ in range(20)}
    assert len(made) == 20
    assert {len(password) for password in made} == {23}


@pytest.mark.parametrize("password", ["", "\0", "a\0b", "x" * 5000, "\udcff"])
def test_odd_passwords_are_only_wrong(password: str) -> None:
    for stored in (BY_DOVECOT[0], BY_DOVECOT[10], BY_DOVECOT[12], BY_DOVECOT[16], BY_DOVECOT[17]):
        assert not passwords.verify(stored, password)
