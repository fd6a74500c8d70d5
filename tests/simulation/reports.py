"""Reads the reports that come to senders."""

from __future__ import annotations

import re

from tests.simulation.letters import TOKEN, Told

_ACTIONS = re.compile(rb"^(Final-Recipient|Action): *([^\n]*)$", re.MULTILINE)


def is_report(text: bytes) -> bool:
    """In the header of the letter itself."""
    return b"multipart/report" in text.partition(b"\n\n")[0]


def reports(text: bytes) -> list[Told]:
    token = TOKEN.search(text)
    assert token is not None, text
    found: list[Told] = []
    address = ""
    for name, value in _ACTIONS.findall(text):
        if name == b"Final-Recipient":
            address = value.decode().rpartition(";")[2].strip()
        elif address:
            found.append(Told(token[1].decode(), value.decode().strip(), address))
    return found
