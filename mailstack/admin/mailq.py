"""``mailstack mailq``: the queue as Postfix's mailq shows it, for scripts and eyes that know that."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import click

from mailstack.admin.output import clean
from mailstack.admin.site import Site
from mailstack.model.entry import Entry
from mailstack.model.selection import EVERYTHING

_HEAD = "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------"
_EMPTY = "Mail queue is empty"
#: Behind the id: on its way (not tried yet), on hold, or waiting for its next attempt.
_MARKS = {"active": "*", "hold": "!"}
_INDENT = " " * 41
_RIGHT = 76  # columns, at whose end a reason stands
_WAITING = ("active", "deferred", "hold")


@click.command()
@click.pass_obj
def mailq(site: Site) -> None:
    """The queue in the form of Postfix's mailq.

    Behind the ID, * means that the letter was not tried yet, and ! that it is on hold. A symbolic link named mailq to
    the program mailstack does the same.
    """
    size = number = 0
    for entry in site.queue.letters(EVERYTHING):
        if not number:
            click.echo(_HEAD)
        click.echo("\n".join(_lines(entry)) + "\n")
        size, number = size + entry.size, number + 1
    if number:
        click.echo(f"-- {max(1, size // 1024)} Kbytes in {number} Request{'' if number == 1 else 's'}.")
    else:
        click.echo(_EMPTY)


def _lines(entry: Entry) -> Iterator[str]:
    name = entry.id + _MARKS.get(entry.state, "")
    arrived = datetime.fromtimestamp(entry.arrived).strftime("%a %b %d %H:%M:%S")
    # Postfix's ids are shorter: what ours need more, the size has less.
    room = max(0, 18 - max(11, len(name)))
    yield f"{name:<11} {entry.size:>{room}} {arrived:>20} {clean(str(entry.sender or 'MAILER-DAEMON'))}"
    told = ""
    for recipient in entry.recipients:
        if recipient.state not in _WAITING:
            continue
        if recipient.last_reply and recipient.last_reply != told:
            told = recipient.last_reply
            yield f"({clean(told)})".rjust(_RIGHT)
        yield f"{_INDENT}{clean(str(recipient.address))}"
