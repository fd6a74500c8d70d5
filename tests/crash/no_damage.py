"""A crash is no damage, and a disk that fails is none: what there is to see when the server takes them for it."""

from __future__ import annotations

import re

from tests.live.office import Office

_LOGGED = re.compile(r"^.* warn: \S+: (?:ALARM )?damaged: .*$", re.MULTILINE)
_AMISS = ("quarantine/*", "queue.db.*", "salvage")  #: in the spool


def taken_for_damage(office: Office, log: str) -> set[str]:
    """Lines of the log, letters on hold, and what damage leaves in the spool."""
    spool = office.data / "spool"
    amiss = {str(path) for pattern in _AMISS for path in spool.glob(pattern)}
    held = {f"{each['id']} is on hold" for each in office.queue() if each["state"] == "hold"}
    return {f"taken for damage: {each}" for each in {*_LOGGED.findall(log), *amiss, *held}}
