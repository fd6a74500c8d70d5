"""``mailstack queue list``."""

from __future__ import annotations

from collections.abc import Iterator

import click

from mailstack.admin import letters
from mailstack.admin.output import count, json_stream
from mailstack.admin.queue_filters import filters
from mailstack.admin.queue_own import for_users, listed
from mailstack.admin.site import Site
from mailstack.model.entry import Entry
from mailstack.model.selection import EVERYTHING, Selection


@click.command("list")
@filters
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N letters.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array, an object a letter.")
@for_users(listed)
def list_(site: Site, selection: Selection | None, limit: int | None, as_json: bool) -> None:
    """Letters, the oldest first, and why they still wait.

    A PATTERN is an address, @domain for all of a domain, or has * for any characters and ? for one. With several
    filters, all must hold for at least one recipient; the letter is shown whole. With --user, the latest 20 that this
    user has sent, as far as they may be taken back.
    """
    found = site.queue.letters(selection or EVERYTHING, limit)
    if as_json:
        json_stream(letters.as_object(entry) for entry in found)
        return
    counted = _Counted(found)
    for line in letters.listing(counted, site.now()):
        click.echo(line)
    if counted.number:
        click.echo(count(counted.number, "letter"))
    else:
        click.echo("The queue is empty." if selection is None else "No letter in the queue matches.")


class _Counted:
    """Counts what goes by."""

    def __init__(self, entries: Iterator[Entry]) -> None:
        self._entries = entries
        self.number = 0

    def __iter__(self) -> Iterator[Entry]:
        for entry in self._entries:
            self.number += 1
            yield entry
