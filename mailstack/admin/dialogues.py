"""Sessions, as JSON and for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click
from attrs import evolve

from mailstack.admin.output import clean, padded, table, utc
from mailstack.message.commentary import Commentary
from mailstack.message.explain import Dictionary, Meaning
from mailstack.model.transcript import CLIENT, NOTE, SERVER, Spoken, Transcript

COLOURS = {"2": "green", "3": "green", "4": "yellow", "5": "red"}
HEAD = ("ID", "TIME", "CLIENT", "USER", "PORT", "PROTOCOL", "SECONDS", "COMMANDS", "ENDED", "QUEUE IDS")
OPEN = "open"
INDENT = " " * 13  # where the text of a line begins


def failed(transcript: Transcript) -> bool:
    return bool(transcript.refusals) or transcript.ended not in ("", "QUIT")


def as_object(transcript: Transcript) -> dict[str, object]:
    """One object of ``session list --json``."""
    return {
        "id": transcript.id,
        "began": utc(transcript.began),
        "seconds": transcript.seconds,
        "client": transcript.client,
        "user": transcript.user,
        "tried": transcript.tried,
        "service": transcript.service,
        "port": transcript.port,
        "protocol": transcript.protocol,
        "tls": transcript.tls,
        "ended": transcript.ended or OPEN,
        "commands": transcript.commands,
        "refusals": transcript.refusals,
        "queue_ids": list(transcript.queue_ids),
    }


def line_objects(transcript: Transcript, dictionary: Dictionary | None) -> list[dict[str, object]]:
    return [_line_object(line, meaning) for line, meaning in _with_meanings(transcript, dictionary)]


def _line_object(line: Spoken, meaning: Meaning | None) -> dict[str, object]:
    facts: dict[str, object] = {"milliseconds": line.milliseconds, "who": line.who, "text": line.text}
    return facts if meaning is None else {**facts, "meaning": meaning.text, "source": meaning.source}


def _with_meanings(transcript: Transcript, dictionary: Dictionary | None) -> Iterator[tuple[Spoken, Meaning | None]]:
    if dictionary is None:
        yield from ((line, None) for line in transcript.lines)
    else:
        yield from Commentary(dictionary).lines(transcript.lines)


def listing(transcripts: Sequence[Transcript]) -> Iterator[str]:
    """A line a session, and below it one for each reply that said no; of many the last ones."""
    head, *lines = table(HEAD, [_row(each) for each in transcripts])
    yield head
    for line, transcript in zip(lines, transcripts, strict=True):
        yield line
        for refusal in transcript.refusals[-3:]:
            yield f"    {click.style(clean(refusal), fg=COLOURS[refusal[0]])}"


def _row(transcript: Transcript) -> tuple[str, ...]:
    return (
        str(transcript.id),
        utc(transcript.began) or "",
        transcript.client or "local",
        _user(transcript),
        _port(transcript),
        transcript.protocol,
        f"{transcript.seconds:.2f}",
        str(transcript.commands),
        transcript.ended or OPEN,
        " ".join(transcript.queue_ids) or "-",
    )


def _user(transcript: Transcript) -> str:
    return transcript.user or (f"{transcript.tried} (refused)" if transcript.tried else "-")


def _port(transcript: Transcript) -> str:
    return f"{transcript.service}:{transcript.port}" if transcript.port else transcript.service


def sheet(transcript: Transcript, dictionary: Dictionary | None) -> Iterator[str]:
    """One session with its dialogue."""
    facts = {
        "Session": str(transcript.id),
        "Time": utc(transcript.began) or "",
        "Client": transcript.client or "local",
        "User": _user(transcript),
        "Port": _port(transcript),
        "TLS": transcript.tls or "-",
        "Seconds": f"{transcript.seconds:.3f}",
        "Ended": transcript.ended or OPEN,
        "Queue ids": " ".join(transcript.queue_ids) or "-",
    }
    for name, value in facts.items():
        label = dictionary.label(name) if dictionary else f"{name}:"
        yield f"{padded(label, len(INDENT))}{clean(dictionary.value(value) if dictionary else value)}"
    yield ""
    for line, meaning in _with_meanings(transcript, dictionary):
        shown = evolve(line, text=dictionary.note(line.text)) if dictionary and line.text.startswith("(") else line
        yield f"{line.milliseconds:>8,}  {_coloured(shown)}"
        if meaning is not None:
            yield click.style(f"{INDENT}{meaning.text} [{meaning.source}]", dim=True)


def _coloured(line: Spoken) -> str:
    text = clean(line.text)
    if line.who == NOTE:
        return f"   {click.style(text, dim=True)}"
    colour = "cyan" if line.who == CLIENT else COLOURS.get(text[:1]) if line.who == SERVER else None
    return f"{line.who}: {click.style(text, fg=colour)}"
