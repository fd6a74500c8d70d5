"""What the relay test has to say, as JSON and for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from mailstack.admin.output import clean, count, table
from mailstack.admin.relay_test import Outcome, Played


def as_object(one: Played) -> dict[str, object]:
    return {
        "port": one.port,
        "group": one.trick.group,
        "trick": one.trick.name,
        "outcome": one.outcome.value,
        "recipients": list(one.recipients),
        "transcript": [f"{who}: {text}" for who, text in one.transcript],
    }


def report(played: Sequence[Played]) -> None:
    """How many of each kind were refused, the sessions of those that were not, the verdict."""
    for line in table(("TRICKS", "PLAYED", "REFUSED"), list(_groups(played))):
        click.echo(line)
    for one in played:
        if one.outcome is Outcome.THROUGH:
            _show(one)
    click.echo()
    click.echo(_verdict(played))


def _groups(played: Sequence[Played]) -> Iterator[tuple[str, str, str]]:
    for group in dict.fromkeys((one.port, one.trick.group) for one in played):
        inside = [one for one in played if (one.port, one.trick.group) == group]
        refused = sum(one.outcome is Outcome.REFUSED for one in inside)
        yield ": ".join(group), str(len(inside)), str(refused)


def _show(one: Played) -> None:
    click.echo()
    click.echo(click.style(f"Got through: {one.port}: {one.trick.group}: {one.trick.name}", fg="red", bold=True))
    for who, text in one.transcript:
        click.echo(clean(f"  {who}: {text}"))
    if one.recipients:
        click.echo(clean(f"  It would go to {', '.join(one.recipients)}"))


def _verdict(played: Sequence[Played]) -> str:
    number = {outcome: sum(one.outcome is outcome for one in played) for outcome in Outcome}
    if number[Outcome.THROUGH]:
        text = f"OPEN RELAY: {number[Outcome.THROUGH]} of {count(len(played), 'trick')} got through"
        return click.style(text, fg="red", bold=True)
    words = [f"Relaying denied: {number[Outcome.REFUSED]} of {count(len(played), 'trick')} were refused"]
    if number[Outcome.KEPT]:
        words.append(f"{number[Outcome.KEPT]} came to our own mailboxes or backup domains")
    if number[Outcome.UNSURE]:
        words.append(f"{number[Outcome.UNSURE]} were taken as names of ours, as any name is there")
    return click.style(", ".join(words), fg="green", bold=True)
