"""The file with the last sessions, ``state/sessions.jsonl`` below ``data``: one JSON object a line, in no order.

The server writes it for ``mailstack session``, which reads it while the server runs and while it does not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mailstack.model.transcript import Spoken, Transcript
from mailstack.server.recording import LOST


def path_below(data: Path) -> Path:
    return data / "state" / "sessions.jsonl"


def encode(facts: dict[str, Any]) -> bytes:
    return json.dumps(facts, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace") + b"\n"


def decode(line: bytes) -> Transcript | None:
    """None: not one of ours."""
    try:
        facts = json.loads(line)
        facts["queue_ids"] = tuple(facts["queue_ids"])
        facts["lines"] = tuple(Spoken(*each) for each in facts["lines"])
        return Transcript(**facts)
    except (ValueError, TypeError, KeyError):
        return None


def lines(path: Path) -> list[bytes]:
    """The sessions, undecoded; none when there is no file. OSError."""
    try:
        return path.read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return []


def read(path: Path) -> list[Transcript]:
    """By the time of their beginning. OSError."""
    return sorted(_decoded(path), key=lambda each: each.id)


def ended(path: Path) -> dict[int, bytes]:
    """Encoded, by id, the oldest first. What was open when the file was written has ended with that process."""
    found = {}
    for line in lines(path):
        transcript = decode(line)
        if transcript is not None:
            found[transcript.id] = line if transcript.ended else encode({**json.loads(line), "ended": LOST})
    return dict(sorted(found.items()))


def _decoded(path: Path) -> Iterator[Transcript]:
    for line in lines(path):
        transcript = decode(line)
        if transcript is not None:
            yield transcript
