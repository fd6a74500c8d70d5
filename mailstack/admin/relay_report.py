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


def report(played: Sequence[Played], verbose: bool) -> None:
    """How many of each kind were refused, sessions that got through, of each kind one unless ``verbose``; the verdict,
    also in front when there are sessions."""
    through = [one for one in played if one.outcome is Outcome.THROUGH]
    verdict = _verdict(played)
    if through:
        click.echo(f"{verdict}\n")
    for line in table(("TRICKS", "PLAYED", "REFUSED"), list(_groups(played))):
        click.echo(line)
    shown = through if verbose else {_group(one): one for one in reversed(through)}.values()
    for one in through:
        if one in shown:
            _show(one)
    if len(shown) < len(through):
        click.echo(f"\n{count(len(through) - len(shown), 'more session')} like these: --verbose shows them all.")
    click.echo()
    click.echo(verdict)


def _group(one: Played) -> str:
    return f"{one.port}: {one.trick.group}"


def _groups(played: Sequence[Played]) -> Iterator[tuple[str, str, str]]:
    for group in dict.fromkeys(map(_group, played)):
        inside = [one for one in played if _group(one) == group]
        refused = sum(one.outcome is Outcome.REFUSED for one in inside)
        yield group, str(len(inside)), str(refused)


def _show(one: Played) -> None:
    click.echo()
    click.echo(click.style(f"Got through: {_group(one)}: {one.trick.name}", fg="red", bold=True))
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
