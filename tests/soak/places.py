"""Who takes part."""

from __future__ import annotations

from tests.live.wire import DOMAIN

USERS = tuple(f"user{number}" for number in range(1, 9))
FAR = "far.test"
BOUNCE = "(bounce)"  #: where a report is found, whoever's mailbox that is
NOBODY = "nobody"  #: neither here nor there


def here(user: str) -> str:
    return f"{user}@{DOMAIN}"
