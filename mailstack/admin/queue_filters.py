"""Which letters a command is about: the same options for all verbs."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import click

from mailstack.admin.site import Failed, Site
from mailstack.config import values
from mailstack.config.problem import BadValue
from mailstack.model.domain import to_ascii
from mailstack.model.selection import STATES, Selection, is_pattern

Command = TypeVar("Command", bound=Callable[..., Any])


def duration(context: click.Context, parameter: click.Parameter, text: str | None) -> float | None:
    """Seconds, of a time as in mail.ini: ``90s``, ``15m``, ``2h``, ``5d``."""
    try:
        return None if text is None else values.seconds(text)
    except BadValue as error:
        raise click.BadParameter(str(error), context, parameter) from None


_OPTIONS = (
    click.option("--sender", metavar="PATTERN", help="From this sender; <> is the null sender, of reports."),
    click.option("--account", metavar="ADDRESS", help="From this user, who was logged in, whatever the sender is."),
    click.option("--recipient", metavar="PATTERN", help="To this recipient, as it is or as the client gave it."),
    click.option("--destination", metavar="PATTERN", help="To a next hop: local, smarthost, mx:far.example, …"),
    click.option("--state", type=click.Choice(STATES), multiple=True, help="With recipients in this state."),
    click.option(
        "--older", callback=duration, metavar="TIME", help="That came at least so long ago: 90s, 15m, 2h, 5d."
    ),
    click.option("--younger", callback=duration, metavar="TIME", help="That came at most so long ago."),
    click.option("--reply", metavar="TEXT", help="Whose last reply has this text in it, in any case of letters."),
)
NAMES = ("sender", "account", "recipient", "destination", "state", "older", "younger", "reply")


def filters(command: Command) -> Command:
    """Gives a command the options, and in their place ``selection``: None without any of them."""

    @wraps(command)
    @click.pass_obj
    def filtered(site: Site, *args: Any, **options: Any) -> Any:  # Any: whatever the command takes
        given = {name: options.pop(name) for name in NAMES}
        chosen = selection(site, **given) if any(value not in (None, ()) for value in given.values()) else None
        return command(site, *args, selection=chosen, **options)

    for option in reversed(_OPTIONS):
        filtered = option(filtered)
    return filtered  # type: ignore[return-value]  # click's decorators do not tell what they return


def selection(
    site: Site,
    sender: str | None,
    account: str | None,
    recipient: str | None,
    destination: str | None,
    state: tuple[str, ...],
    older: float | None,
    younger: float | None,
    reply: str | None,
) -> Selection:
    now = site.now()
    return Selection(
        sender=None if sender is None else _address(site, sender, null=True),
        account=None if account is None else str(site.address(_text(account)).canonical),
        recipient=None if recipient is None else _address(site, recipient),
        destination=None if destination is None else _text(destination),
        states=state,
        arrived_before=None if older is None else now - older,
        arrived_after=None if younger is None else now - younger,
        reply=None if reply is None else _text(reply),
    )


def _address(site: Site, text: str, null: bool = False) -> str:
    """A pattern of addresses as the queue has them: ``@domain`` is everybody there, a bare name one of ours."""
    bare = _text(text).removeprefix("<").removesuffix(">")
    if not bare:
        if null:
            return ""
        raise click.UsageError("The null sender receives nothing.")
    local, at, domain = bare.rpartition("@")
    try:
        if at and domain and not is_pattern(domain):
            domain = to_ascii(domain)
    except ValueError as error:
        raise Failed(str(error)) from None
    if at and not local:
        return f"*@{domain}"
    if is_pattern(bare):
        return f"{local}{at}{domain}"
    return str(site.address(bare))


def _text(text: str) -> str:
    """What the command line has in octets that are no text, no letter can have."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
