"""Which mail.ini is meant when nobody says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

VARIABLE = "MAILSTACK_CONFIG"
PLACES = (Path("etc/mail.ini"), Path("/etc/mailstack/mail.ini"))


def locate(given: str | None, environment: Mapping[str, str]) -> Path:
    """``-c``, else $MAILSTACK_CONFIG, else the first usual place that exists."""
    named = given or environment.get(VARIABLE)
    if named:
        return Path(named)
    return next((place for place in PLACES if place.exists()), PLACES[0])
