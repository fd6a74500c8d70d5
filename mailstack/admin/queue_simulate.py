"""``mailstack queue simulate``: what becomes of a letter, told in a moment instead of in days."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf
from random import Random
from typing import TYPE_CHECKING

import click

from mailstack.admin.moments import span, wall_clock
from mailstack.admin.output import clean, json_out, table, utc
from mailstack.admin.queue_filters import duration
from mailstack.admin.site import Site
from mailstack.model.address import Address, path

if TYPE_CHECKING:
    from mailstack.admin.simulation import Step


@click.command()
@click.option(
    "--down", callback=duration, metavar="TIME", help="The destination answers after this: 2h, 3d.  [default: never]"
)
@click.option("--sender", metavar="ADDRESS", help="Who writes; <> for a report.  [default: the postmaster]")
@click.option("--recipient", default="example.com", show_default=True, metavar="ADDRESS", help="Or a domain.")
@click.option("--seed", type=int, metavar="N", help="Repeats the pauses of another run: they vary by a tenth.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array, an object an event.")
@click.pass_obj
def simulate(
    site: Site, down: float | None, sender: str | None, recipient: str, seed: int | None, as_json: bool
) -> None:
    """What becomes of a letter whose destination is down.

    Each try, delay warning and the return.

    It is the server's own code with your mail.ini, on a clock that is turned forward. Nothing is sent.
    """
    from mailstack.admin.simulation import Question, Simulation  # here, because it needs most of the server

    question = Question(_sender(site, sender), _recipient(site, recipient), inf if down is None else down)
    simulation = Simulation(site.settings, question, int(site.now()), Random(seed))
    steps = simulation.run()
    if as_json:
        json_out([_object(step, steps[0].at) for step in steps])
        return
    silent = "never answers" if down is None else f"does not answer for {span(down)}"
    click.echo(
        clean(f"From {path(question.sender)} to <{question.recipient}>, by {simulation.destination}, which {silent}.")
    )
    rows = [(wall_clock(step.at), span(step.at - steps[0].at), *words) for step, words in _numbered(steps)]
    for line in table(("WHEN", "AGE", "EVENT", ""), rows):
        click.echo(line)


def _sender(site: Site, text: str | None) -> Address | None:
    if text is None:
        return site.settings.server.postmaster
    bare = text.removeprefix("<").removesuffix(">")
    return site.address(bare) if bare else None


def _recipient(site: Site, text: str) -> Address:
    return site.address(text if "@" in text else f"somebody@{text}")


def _numbered(steps: Sequence[Step]) -> Iterator[tuple[Step, tuple[str, str]]]:
    """With the number of each try; the last one may be that which arrives."""
    attempt = 0
    for step in steps:
        tried = step.event in ("try", "delivered")
        attempt += tried
        yield step, (f"try {attempt}" if tried else step.event, step.text)


def _object(step: Step, start: float) -> dict[str, object]:
    return {"time": utc(step.at), "age": round(step.at - start), "event": step.event, "text": step.text}
