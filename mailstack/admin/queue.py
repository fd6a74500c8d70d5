"""``mailstack queue``: the letters that wait."""

from __future__ import annotations

import click

from mailstack.admin import queue_change
from mailstack.admin.queue_fsck import fsck
from mailstack.admin.queue_list import list_
from mailstack.admin.queue_show import show
from mailstack.admin.queue_simulate import simulate
from mailstack.admin.queue_summary import summary


@click.group()
def queue() -> None:
    """The queue: letters that wait for their next attempt.

    \b
    mailstack queue list --recipient @far.example --older 2h
    mailstack queue show ID                  one letter: what happened, and when what happens next
    mailstack queue retry --destination mx:far.example
    mailstack queue summary                  how many letters wait for what, and since when
    mailstack queue simulate --down 3d       what becomes of a letter when a destination is down
    mailstack queue fsck                     is every letter whole?
    """


for _command in (list_, show, *queue_change.commands(), summary, simulate, fsck):
    queue.add_command(_command)
