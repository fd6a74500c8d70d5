"""``mailstack``: the command line. One module a group; this one has what they share: configuration and exit codes."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from mailstack.admin.alias import alias
from mailstack.admin.check import check
from mailstack.admin.doctor import doctor
from mailstack.admin.explain import explain
from mailstack.admin.import_mail import import_
from mailstack.admin.limits import limits
from mailstack.admin.mailq import mailq
from mailstack.admin.output import clean
from mailstack.admin.queue import queue
from mailstack.admin.relay import relay
from mailstack.admin.session import session
from mailstack.admin.site import Failed, Site
from mailstack.admin.trace import trace
from mailstack.admin.user import user
from mailstack.admin.why import why
from mailstack.config.locate import locate
from mailstack.config.problem import ConfigurationError

EX_USAGE, EX_CONFIG = 64, 78  # sysexits.h


class Misconfigured(click.ClickException):
    """mail.ini is wrong: every problem on a line."""

    exit_code = EX_CONFIG

    def show(self, file: Any = None) -> None:  # Any: as click has it
        click.echo(clean_lines(self.message), err=True)


def clean_lines(text: str) -> str:
    return "\n".join(clean(line) for line in text.split("\n"))


class Commands(click.Group):
    """A group whose failures have the exit codes that scripts expect."""

    def make_context(self, *args: Any, **extra: Any) -> click.Context:  # Any: click's own arguments, passed on
        with exit_codes():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:  # Any: as click has it
        with exit_codes():
            return super().invoke(ctx)


def escape_what_cannot_be_shown() -> None:
    """A terminal whose charset lacks a letter gets an escape in its place, not a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def exit_codes() -> Iterator[None]:
    try:
        yield
    except click.UsageError as error:
        error.exit_code = EX_USAGE  # type: ignore[misc]  # click's own is 2, and read from the instance
        raise
    except ConfigurationError as error:
        raise Misconfigured(str(error)) from error
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise  # "| head" has read enough: click ends quietly
        where = f"{error.filename}: " if error.filename else ""
        act = "; run this as root, or as the user whom it belongs to" if isinstance(error, PermissionError) else ""
        raise Failed(clean(f"{where}{error.strerror or error}{act}")) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-c",
    "--config",
    metavar="FILE",
    help="The configuration  [default: $MAILSTACK_CONFIG, else etc/mail.ini, else /etc/mailstack/mail.ini]",
)
@click.version_option(package_name="mailstack")
@click.pass_context
def main(context: click.Context, config: str | None) -> None:
    """Look after a mailstack server: its accounts, its aliases, its queue.

    All commands work while the server runs, which sees changes by itself.

    \b
    mailstack check                        is everything in order?
    mailstack doctor                       what is wrong now, and what to do?
    mailstack user add alice@office.test   a new mailbox, with a made-up password
    mailstack alias resolve sales          where does mail for sales go?
    mailstack queue list                   what waits to be sent?
    mailstack relay test                   is this an open relay?
    mailstack session list                 who has talked with the server?
    mailstack explain 550 5.1.1            what does this code, or a pasted bounce, mean?
    mailstack trace letter.eml             which way did a letter come?
    mailstack why alice@office.test        what has become of her mail, and who fetched it?
    mailstack import maildir PATH alice    move a mailbox here, from any server
    mailstack limits                       who was held back, and by which limit?
    """
    escape_what_cannot_be_shown()
    if context.obj is None:
        context.obj = Site(locate(config, os.environ))


class AsItIs(click.Command):
    """A command that understands its words itself, in a way of its own."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.params["words"] = args
        return []


@main.command(cls=AsItIs, short_help="Take a letter from standard input, as other sendmails do.")
@click.pass_context
def sendmail(context: click.Context, words: Sequence[str]) -> None:
    """What ``program`` does at once where it can."""
    from mailstack.admin.sendmail import run

    context.exit(run(words, str(context.obj.source)))


for command in (check, doctor, user, alias, queue, mailq, relay, session, explain, trace, limits, why, import_):
    main.add_command(command)
