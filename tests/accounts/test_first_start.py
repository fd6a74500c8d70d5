"""The first start, and that later ones make nothing up."""

from __future__ import annotations

from pathlib import Path

from attrs import evolve

from mailstack.accounts import aliases, users
from mailstack.accounts.first_start import first_start
from tests.accounts.places import Place


def test_folder_users_and_aliases_are_made(tmp_path: Path) -> None:
    place = Place(tmp_path)
    first_start(place.settings)
    assert place.settings.server.data.stat().st_mode & 0o777 == 0o700
    for path in (place.users, place.aliases):
        assert path.stat().st_mode & 0o777 == 0o600
    domains = place.settings.server.domains
    assert (users.read(place.users, domains).accounts, users.read(place.users, domains).broken) == ({}, ())
    assert (aliases.read(place.aliases, domains).aliases, aliases.read(place.aliases, domains).broken) == ({}, ())


def test_what_is_there_stays(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.write("# mine\n")
    first_start(place.settings)
    assert place.users.read_text() == "# mine\n"


def test_a_file_that_is_missing_later_is_not_replaced(tmp_path: Path) -> None:
    """Or a mistyped path would make all users unknown."""
    place = Place(tmp_path)
    (place.settings.server.data / "spool").mkdir(parents=True)
    (place.settings.server.data / "spool/queue.db").touch()
    first_start(place.settings)
    assert not place.users.exists()


def test_no_aliases_file_wanted(tmp_path: Path) -> None:
    place = Place(tmp_path)
    first_start(evolve(place.settings, accounts=evolve(place.settings.accounts, aliases=None)))
    assert not place.aliases.exists()
