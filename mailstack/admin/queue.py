"""``mailstack queue``: the letters that wait."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from mailstack.admin import letters
from mailstack.admin.output import clean, count, json_out
from mailstack.admin.site import Failed, Site, warn

MAX_HEADER = 256 * 1024  # octets shown of a letter


@click.group()
def queue() -> None:
    """The queue: letters that wait for their next attempt."""


@queue.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON array, an object a letter.")
@click.pass_obj
def list_(site: Site, as_json: bool) -> None:
    """All letters, the oldest first, and why they still wait."""
    entries = site.queue.entries()
    if as_json:
        json_out([letters.as_object(entry) for entry in entries])
    elif entries:
        click.echo("\n".join(letters.listing(entries)))
        click.echo(count(len(entries), "letter"))
    else:
        click.echo("The queue is empty.")


@queue.command()
@click.argument("id")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, as in the list, with the header.")
@click.pass_obj
def show(site: Site, id: str, as_json: bool) -> None:
    """One letter: its envelope, the state of each recipient, its header."""
    entry = site.queue.entry(id)
    if entry is None:
        raise _missing(id)
    header = _header(site, id)
    if as_json:
        json_out({**letters.as_object(entry), "header": header})
        return
    click.echo("\n".join(letters.sheet(entry)))
    click.echo()
    for line in header.splitlines():
        click.echo(clean(line.expandtabs()))


def _header(site: Site, id: str) -> str:
    try:
        with site.queue.content(id) as file:
            head = file.read(MAX_HEADER)
    except FileNotFoundError:
        return ""  # sent meanwhile
    return head.partition(b"\n\n")[0].decode("utf-8", "backslashreplace")


@queue.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--all", "everything", is_flag=True, help="All that waits.")
@click.pass_obj
def retry(site: Site, ids: tuple[str, ...], everything: bool) -> None:
    """Try letters now instead of at their time."""
    if everything == bool(ids):
        raise click.UsageError("Give the IDs of letters, or --all.")
    if everything:
        ids = tuple(entry.id for entry in site.queue.entries())
    missing = _unknown(site, ids)
    if everything or len(missing) < len(ids):
        click.echo(f"{count(site.queue.retry(ids), 'letter')} due now")
    _complain(missing)


@queue.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def drop(site: Site, ids: tuple[str, ...], yes: bool) -> None:
    """Remove letters for good. Nobody is told, not even the sender."""
    missing = _unknown(site, ids)
    found = [id for id in ids if id not in missing]
    if found and not yes and sys.stdin.isatty():
        click.confirm(f"Remove {count(len(found), 'letter')} for good?", abort=True)
    if found:
        click.echo(f"{count(site.queue.drop(found), 'letter')} removed")
    _complain(missing)


def _unknown(site: Site, ids: Sequence[str]) -> list[str]:
    return [id for id in ids if site.queue.entry(id) is None]


def _complain(missing: Sequence[str]) -> None:
    for id in missing[1:]:
        warn(_missing(id).message)
    if missing:
        raise _missing(missing[0])


def _missing(id: str) -> Failed:
    return Failed(clean(f"there is no letter {id} in the queue"))
