"""What ``mailstack queue fsck`` does."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import click

from mailstack.admin.import_place import become_owner
from mailstack.admin.output import clean, count, json_stream
from mailstack.admin.queue_change import administrator
from mailstack.admin.running import runs
from mailstack.admin.site import Failed, Site, warn
from mailstack.delivery.route import destination
from mailstack.model.address import Address
from mailstack.model.finding import FILE, ROWS, Finding
from mailstack.model.letter import Recipient
from mailstack.spool import restoring
from mailstack.spool.fsck import Inspection
from mailstack.spool.mending import alone, hold, mend
from mailstack.spool.recovery import Repairs

MANY = 1_000  # letters from which on a terminal sees how far it is


# ---- Looking


def examine(site: Site, folder: Path, as_json: bool) -> int:
    """How many things are wrong."""
    wrong = kept = 0

    def counted() -> Iterator[Finding]:
        nonlocal wrong, kept
        for each in _findings(site, folder, runs(folder.parent)):
            wrong, kept = wrong + each.wrong, kept + (not each.wrong)
            yield each

    if as_json:
        json_stream(_object(each) for each in counted())
        return wrong
    for each in counted():
        for line in _lines(each):
            click.echo(line)
    more = f" {count(kept, 'file')} kept for a while." if kept else ""
    click.echo((f"{count(wrong, 'thing is', 'things are')} wrong." if wrong else "Nothing is wrong.") + more)
    return wrong


def _findings(site: Site, folder: Path, running: bool) -> Iterator[Finding]:
    with ExitStack() as stack:
        bar: list[click._termui_impl.ProgressBar[int]] = []

        def progress(done: int, total: int) -> None:
            if not bar and total >= MANY and sys.stderr.isatty():
                bar.append(stack.enter_context(click.progressbar(length=total, label="letters", file=sys.stderr)))
            if bar:
                bar[0].update(done - bar[0].pos)

        yield from Inspection(folder, running, site.now(), progress).findings()


def _object(finding: Finding) -> dict[str, object]:
    return {
        "kind": finding.kind,
        "name": finding.name,
        "what": finding.what,
        "advice": finding.advice,
        "wrong": finding.wrong,
    }


def _lines(finding: Finding) -> Iterator[str]:
    yield click.style(clean(f"{finding.name}: {finding.what}"), bold=finding.wrong)
    yield clean(f"    {finding.advice}")


# ---- Repairing


def repair(site: Site, folder: Path, as_json: bool) -> int:
    """What a start does, and each file is looked at, too. How many things are wrong now."""
    become_owner(site.settings.server.data)
    with alone(folder):
        done = list(_deeds(mend(folder, site.now())))
        for each in _findings(site, folder, running=False):
            if each.kind in (FILE, ROWS) and hold(folder, each.name, each.what):
                done.append(f"{each.name}: {each.what}; it is on hold now")
    for line in done:
        click.echo(clean(line), err=as_json)
    if not done:
        click.echo("Nothing was to be repaired.", err=as_json)
    return examine(site, folder, as_json)


def _deeds(repairs: Repairs) -> Iterator[str]:
    for name, wrong in repairs.faults.items():
        yield f"{name}: {wrong}"
    if repairs.unacknowledged:
        letters = count(len(repairs.unacknowledged), "letter")
        yield f"{letters} that a crash had cut off, and nobody acknowledged: moved to leftovers, for a week"
    if repairs.leftovers:
        yield f"{count(repairs.leftovers, 'file')} that belonged to no letter: moved to leftovers, for a week"


# ---- Sending on


def release(site: Site, folder: Path, name: str, to: Sequence[str]) -> None:
    become_owner(site.settings.server.data)
    path = restoring.found(folder, name)
    if path is None:
        raise Failed(f"there is no file of a letter {name} in the spool")
    try:
        told = restoring.read(path)
        addresses = [site.address(each) for each in to] or ([told.recipient] if told.recipient else [])
        if not addresses:
            raise Failed(f"{name} had several recipients, and its file does not name them: say to whom, with --to")
        recipients = list(dict.fromkeys(one for each in addresses for one in _recipients(site, each)))
        where = partial(destination, site.settings)
        letter = restoring.restore(folder, path, recipients, where, site.now(), administrator())
    except ValueError as error:
        raise Failed(f"{name} cannot be sent on: {error}") from error
    sender = "<>" if letter.sender is None else letter.sender.unicode
    names = ", ".join(each.address.unicode for each in letter.recipients)
    click.echo(clean(f"{letter.id} is in the queue: from {sender} to {names}"))
    if not runs(folder.parent):
        warn("the server does not run: it will be sent when it does")


def _recipients(site: Site, address: Address) -> Iterator[Recipient]:
    if address.domain not in site.settings.server.domains:
        yield Recipient(address, address)
        return
    ends = [step for step in site.book().steps(address) if step.rule in ("account", "elsewhere", "postmaster")]
    if not ends:
        raise Failed(f"nobody here is called {address.unicode}")
    for step in ends:
        if step.rule != "postmaster":
            yield Recipient(step.targets[0], address)
