"""``mailstack queue retry|hold|release|drop|bounce``: the same way for all of them."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import click
from attrs import evolve, frozen

from mailstack.admin import letters
from mailstack.admin.output import clean, count
from mailstack.admin.queue_filters import filters
from mailstack.admin.queue_own import dropped, for_users
from mailstack.admin.site import Failed, Site, warn
from mailstack.model import deed as deeds
from mailstack.model.deed import Deed
from mailstack.model.entry import Changed
from mailstack.model.selection import EVERYTHING, HOLD, Selection

CHUNK = 500  # letters changed in one transaction, for which the server may have to wait
#: Seconds between two of them. Who waits for the database looks again every 25 ms, later every 100 ms: without a pause
#: the server would meet the next transaction each time, and new mail would wait for the last one.
BREATH = 0.05


@frozen
class Verb:
    name: str
    help: str
    question: str
    done: str
    #: Nothing brings the letters back.
    final: bool = False
    reason: bool = False
    #: What it says of a letter that it cannot be done to.
    useless: str = "nothing of the letter {id} waits"


#: What stands in the way of these with a letter on hold.
_HELD = {
    deeds.RETRY: "the letter {id} is on hold: release it first",
    deeds.HOLD: "the letter {id} is on hold already",
}
VERBS = (
    Verb(deeds.RETRY, "Try letters now instead of at their time. What its sender holds back only an ID means.",
         "Try {what} now?", "{what} due now"),
    Verb(deeds.HOLD, "Put letters on hold. Until released: no attempt, no warning, no return.", "Put {what} on hold?",
         "{what} on hold"),
    Verb(deeds.RELEASE, "Let letters on hold go on. They are due now.", "Release {what}?", "{what} released",
         useless="the letter {id} is not on hold"),
    Verb(deeds.DROP, "Remove letters for good. Nobody is told. With --user, a sender takes back their own.",
         "Remove {what} for good?", "{what} removed", final=True),
    Verb(deeds.BOUNCE, "Return letters. The sender gets a report that they were not delivered.",
         "Return {what} to the sender?", "{what} returned", final=True, reason=True),
)  # fmt: skip


#: Arguments and options of all verbs.
_ABOUT_LETTERS: tuple[Callable[[Any], Any], ...] = (
    click.argument("ids", nargs=-1, metavar="[ID]..."),
    filters,
    click.option("--all", "everything", is_flag=True, help="All that is there."),
    click.option("--dry-run", is_flag=True, help="Only say what would be done."),
    click.option("--yes", is_flag=True, help="Do not ask."),
)


def commands() -> Iterator[click.Command]:
    return map(_command, VERBS)


def _command(verb: Verb) -> click.Command:
    def command(site: Site, ids: tuple[str, ...], selection: Selection | None, **options: Any) -> None:
        _run(site, verb, _Order(ids, selection, **options))

    if verb.name == deeds.DROP:
        command = for_users(dropped)(command)
    if verb.reason:
        command = click.option("--reason", default="", metavar="TEXT", help="Why, in the report.")(command)
    for decorate in reversed(_ABOUT_LETTERS):
        command = decorate(command)
    asks = "Asks first" if verb.final else "With filters it asks first"
    without = ", and filters need --yes" if verb.final else ""
    note = f"{asks} on a terminal; a script is not asked{without}{', nor is --user' * (verb.name == deeds.DROP)}."
    about = "With filters only those recipients of a letter are meant that match."
    return click.command(verb.name, help=f"{verb.help}\n\n{note} {about}")(command)


@frozen
class _Order:
    ids: tuple[str, ...]
    selection: Selection | None
    everything: bool
    dry_run: bool
    yes: bool
    reason: str = ""


def _run(site: Site, verb: Verb, order: _Order) -> None:
    if [bool(order.ids), order.selection is not None, order.everything].count(True) != 1:
        raise click.UsageError("Give either the IDs of letters, or filters, or --all.")
    if verb.name == deeds.RETRY and not order.ids:
        # What its sender wants sent later is sent now only if somebody means just that letter.
        order = evolve(order, selection=evolve(order.selection or EVERYTHING, released_before=site.now()))
    found = site.queue.choose(verb.name, order.selection or EVERYTHING, order.ids or None)
    missing = [id for id in dict.fromkeys(order.ids) if id not in found]
    if found and order.dry_run:
        _rehearse(site, verb, order, found)
    elif found:
        _confirm(verb, order, found)
        missing += _carry_out(site, verb, order, found)
    elif not order.ids:
        click.echo("No letter for that is in the queue." if order.everything else "No letter in the queue matches.")
    _complain(site, verb, missing)


def _what(letters: int, recipients: int) -> str:
    more = f" ({count(recipients, 'recipient')})" if recipients != letters else ""
    return f"{count(letters, 'letter')}{more}"


def _rehearse(site: Site, verb: Verb, order: _Order, found: Mapping[str, int]) -> None:
    if order.ids:
        entries = (entry for id in found if (entry := site.queue.entry(id)))
    else:
        entries = (each for each in site.queue.letters(order.selection or EVERYTHING) if each.id in found)
    for line in letters.listing(entries, site.now()):
        click.echo(line)
    click.echo(f"Not done: {verb.done.format(what=_what(len(found), sum(found.values())))}")


def _confirm(verb: Verb, order: _Order, found: Mapping[str, int]) -> None:
    if order.yes or not (verb.final or not order.ids):
        return
    if sys.stdin.isatty():
        click.confirm(verb.question.format(what=_what(len(found), sum(found.values()))), abort=True)
    elif verb.final and not order.ids:
        raise click.UsageError(f"Without a terminal to ask on, {verb.name} with filters needs --yes.")


def _carry_out(site: Site, verb: Verb, order: _Order, found: Mapping[str, int]) -> list[str]:
    """Returns those that were not there any more."""
    deed = Deed(verb.name, administrator(), site.now(), _line(order.reason))
    changed = Changed()
    try:
        for ids in _progress(verb, list(found)):
            if changed.ids:
                site.pause(BREATH)
            changed += site.queue.change(deed, ids, order.selection or EVERYTHING)
    finally:
        if changed.ids:
            click.echo(verb.done.format(what=_what(len(changed.ids), changed.recipients)))
    _remark(verb, changed)
    for id in changed.lost:
        warn(f"{id}: its file is missing, so there is nothing to send: drop it, or bounce it")
    if changed.lost:
        raise Failed(f"{count(len(changed.lost), 'letter')} cannot be released")
    return [id for id in order.ids if id in found and id not in changed.ids] if order.ids else []


def _progress(verb: Verb, ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """A bar on a terminal, when it takes more than a moment."""
    chunks = [ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK)]
    if len(chunks) < 2 or not sys.stderr.isatty():
        yield from chunks
        return
    with click.progressbar(length=len(ids), label=verb.name, file=sys.stderr) as bar:
        for chunk in chunks:
            yield chunk
            bar.update(len(chunk))


def _remark(verb: Verb, changed: Changed) -> None:
    if changed.unsure:
        warn("the disk has just refused a write of the server's: if the power fails, this may be undone; look again")
    if verb.name == deeds.BOUNCE:
        click.echo("The server writes the reports.")
        if changed.untold:
            click.echo(f"{count(changed.untold, 'letter')} from the null sender dropped: there is nobody to tell.")
    if changed.due and verb.name != deeds.RETRY:
        due = count(changed.due, "letter was", "letters were")
        click.echo(f"{due} due: if one is being sent at this moment, that attempt goes on and may succeed.")


def _complain(site: Site, verb: Verb, missing: Sequence[str]) -> None:
    problems = [_problem(site, verb, id) for id in missing]
    for problem in problems[1:]:
        warn(problem)
    if problems:
        raise Failed(problems[0])


def _problem(site: Site, verb: Verb, id: str) -> str:
    entry = site.queue.entry(id)
    if entry is None:
        return clean(f"there is no letter {id} in the queue")
    held = _HELD.get(verb.name) if entry.state == HOLD else None
    return clean((held or verb.useless).format(id=id))


def administrator() -> str:
    """Who does it, for the history."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    behind = os.environ.get("SUDO_USER", "")
    return f"{behind} as {name}" if behind and behind != name else name


def _line(text: str) -> str:
    """One line, of text that a report can have."""
    whole = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return " ".join("".join(char if char.isprintable() else " " for char in whole).split())
