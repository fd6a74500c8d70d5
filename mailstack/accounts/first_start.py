"""What a new server finds: its folder, no users yet, no aliases yet."""

from __future__ import annotations

import os
from pathlib import Path

from mailstack import durable
from mailstack.config.settings import Settings

USERS = """\
# Accounts, one a line: address:{SCHEME}password-hash, as in a Dovecot passwd-file; further fields are kept.
# "mailstack user add alice@DOMAIN" writes here. The server sees changes by itself.
"""

ALIASES = """\
# Aliases, as in aliases(5):
#
#   sales:            alice, bob           in every domain of ours
#   info@DOMAIN:      alice                in one domain
#   @DOMAIN:          bob                  all names that do not exist
#   team:             :include:team.list   one address a line, relative to this file
#   away:             alice@example.com    outside
#   root:             alice                what this machine's cron and scripts send
#
# "mailstack alias resolve sales@DOMAIN" shows where mail goes. The server sees changes by itself.
"""


def first_start(settings: Settings) -> None:
    """Make what is missing, once: later a missing file is a mistake to tell of, not to cover up. OSError."""
    data = settings.server.data
    if (data / "spool/queue.db").exists():
        return
    durable.make_folders(data)
    domain = settings.server.domains[0]
    for path, text in ((settings.accounts.users, USERS), (settings.accounts.aliases, ALIASES)):
        if path is not None and not path.exists():
            _make(path, text.replace("DOMAIN", domain))


def hand_over(settings: Settings, owner: tuple[int, int]) -> None:
    """A new data folder is for the user and group that we become, and so is what ``mailstack user add`` put there as
    root. OSError."""
    data, accounts = settings.server.data, settings.accounts
    if not data.exists():
        durable.make_folders(data)
    if not (data / "spool").exists():
        for path in {data, *data.iterdir()}.intersection((data, accounts.users, accounts.aliases)):
            os.chown(path, *owner)


def _make(path: Path, text: str) -> None:
    durable.make_folders(path.parent)
    durable.replace(path, text.encode(), 0o600)
