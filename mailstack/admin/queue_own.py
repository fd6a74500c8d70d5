"""``mailstack queue list|drop --user``: what users do with the letters that they have sent.

They need no right to the queue, only their password: the server's submission port does it (XDROP).
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from mailstack.admin.caller import Call, Unanswered
from mailstack.admin.output import clean
from mailstack.admin.password import in_file, on_stdin, password
from mailstack.admin.site import Failed, Site, warn
from mailstack.config.hosts import reached_here

Command = TypeVar("Command", bound=Callable[..., Any])
#: Of the options that such a command has, those that say who wants it.
OWN = ("user", "password_file", "password_stdin")


def for_users(serve: Callable[[OwnQueue, Sequence[str]], None]) -> Callable[[Command], Command]:
    """Gives a command ``--user``. With it ``serve`` takes the place of the command, and is given its IDs."""

    def decorated(command: Command) -> Command:
        @wraps(command)
        def either(*args: Any, user: str | None, **options: Any) -> None:  # Any: whatever the command takes
            secret = {name: options.pop(name) for name in OWN[1:]}
            if user is None:
                if any(secret.values()):
                    raise click.UsageError("A password is for --user.")
                command(*args, **options)
                return
            context = click.get_current_context()
            _nothing_else(context)
            if "ids" in options and not options["ids"]:
                raise click.UsageError("Give the IDs of letters; mailstack queue list --user shows them.")
            with OwnQueue(context.obj, user, password(user, *secret.values())) as own:
                serve(own, options.get("ids", ()))

        named = click.option("--user", metavar="NAME", help="As this user, what they have sent; asks for the password.")
        return named(in_file(on_stdin(either)))  # type: ignore[return-value]  # click's decorators do not tell

    return decorated


def _nothing_else(context: click.Context) -> None:
    for name in context.params:
        if name not in (*OWN, "ids", "yes") and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError("With --user go only IDs, and where the password is.")


class OwnQueue:
    """A session of that user with the server on this machine. Failed, if it comes to none."""

    def __init__(self, site: Site, user: str, secret: str) -> None:
        submission = site.settings.submission
        plain, wrapped = reached_here(submission.listen), reached_here(submission.listen_tls)
        target = plain or wrapped
        if target is None:
            raise Failed("[submission] in mail.ini has no port to ask")
        try:
            self._call = Call(target, tls=target is wrapped)
        except Unanswered as error:
            raise Failed(str(error)) from None
        self._log_in(user, secret)

    def __enter__(self) -> OwnQueue:
        return self

    def __exit__(self, *_: object) -> None:
        self._call.finish()

    def _log_in(self, user: str, secret: str) -> None:
        if "STARTTLS" in self.ask("EHLO localhost").split("\n"):
            self.ask("STARTTLS")
            self.ask("EHLO localhost")
        response = base64.b64encode(f"\0{user}\0{secret}".encode("utf-8", "surrogateescape"))
        self.ask(f"AUTH PLAIN {response.decode()}")

    @property
    def closed(self) -> bool:
        """The server has ended it."""
        return self._call.closed

    def ask(self, command: str) -> str:
        """The lines of a positive reply, without code and status; Failed with any other."""
        try:
            heard = self._call.say(f"{command}\r\n".encode("utf-8", "surrogateescape"))
        except Unanswered as error:
            raise Failed(str(error)) from None
        if not heard:
            raise Failed("the server has hung up")
        lines = [line[4:] for line in heard[0].split("\n")]
        if not heard[0].startswith("2"):
            raise Failed(" ".join([heard[0][:3], *lines]))
        return "\n".join(line.removeprefix("2.0.0 ") for line in lines)


def listed(own: OwnQueue, ids: Sequence[str]) -> None:
    click.echo("\n".join(map(clean, own.ask("XDROP").split("\n"))))


def dropped(own: OwnQueue, ids: Sequence[str]) -> None:
    """All of them, before it is told which could not be; those that come after too many mistakes are not tried."""
    problems = []
    for number, id in enumerate(ids):
        if own.closed:
            problems.append(f"the server has ended the session, so not tried: {', '.join(ids[number:])}")
            break
        if not (id.isascii() and id.isalnum()):
            problems.append(f"{id} is no ID of a letter")
            continue
        try:
            click.echo(clean(own.ask(f"XDROP {id}")))
        except Failed as error:
            problems.append(f"{id}: {error.message}")
    for problem in problems[1:]:
        warn(problem)
    if problems:
        raise Failed(problems[0])
