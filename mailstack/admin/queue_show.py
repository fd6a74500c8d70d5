"""``mailstack queue show``."""

from __future__ import annotations

import shutil
import sys

import click

from mailstack.admin import letters, sheet
from mailstack.admin.forecast import forecasts
from mailstack.admin.output import clean, json_out
from mailstack.admin.site import Failed, Site
from mailstack.model.entry import Entry

MAX_HEADER = 256 * 1024  # octets shown of a letter


@click.command()
@click.argument("id")
@click.option("--content", is_flag=True, help="The letter itself, whole, as it is stored.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, as in the list, with all there is to know.")
@click.pass_obj
def show(site: Site, id: str, content: bool, as_json: bool) -> None:
    """One letter: its envelope, what happened, what comes next.

    With its header. The beginning of an ID is enough where no other letter's begins so. What happens next is told for
    the case that nobody takes the letter; pauses vary by a tenth.
    """
    entry = _find(site, id)
    if content:
        _content(site, entry.id)
        return
    header, history = _header(site, entry.id), site.queue.history(entry.id)
    future = forecasts(site.settings, entry, site.now())
    if as_json:
        json_out({**letters.as_object(entry), **sheet.further(entry, history, future), "header": header})
        return
    click.echo("\n".join(sheet.sheet(entry, history, future, site.now())))
    click.echo("Header:" if header else "Header: the letter's file is missing")
    for line in header.splitlines():
        click.echo(f"  {clean(line.expandtabs())}")


def _find(site: Site, id: str) -> Entry:
    entry = site.queue.entry(id)
    if entry is not None:
        return entry
    ids = site.queue.beginning(id) if id.isascii() and id.isalnum() else []
    if len(ids) > 1:
        raise Failed(clean(f"several letters begin with {id}: {', '.join(ids)}"))
    found = site.queue.entry(ids[0]) if ids else None
    if found is None:
        raise Failed(clean(f"there is no letter {id} in the queue"))
    return found


def _header(site: Site, id: str) -> str:
    try:
        with site.queue.content(id) as file:
            head = file.read(MAX_HEADER)
    except FileNotFoundError:
        return ""  # sent meanwhile, or lost
    return head.partition(b"\n\n")[0].decode("utf-8", "backslashreplace")


def _content(site: Site, id: str) -> None:
    """To a terminal cleaned, elsewhere octet by octet."""
    try:
        with site.queue.content(id) as file:
            if sys.stdout.isatty():
                for line in file:
                    click.echo(clean(line.decode("utf-8", "backslashreplace").rstrip("\n").expandtabs()))
            else:
                shutil.copyfileobj(file, sys.stdout.buffer)
    except FileNotFoundError:
        raise Failed(f"the file of the letter {id} is missing") from None
