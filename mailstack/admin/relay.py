"""``mailstack relay``: who may send what through us, and does that hold?"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from time import time
from typing import TypeVar

import click

from mailstack.admin import relay_report, relay_table, relay_test, truth_table
from mailstack.admin.caller import Call, Unanswered
from mailstack.admin.output import clean, json_out
from mailstack.admin.relay_table import written
from mailstack.admin.relay_test import Outcome, Played
from mailstack.admin.site import Failed, Site, warn
from mailstack.admin.trick import places
from mailstack.admin.trick_returns import return_places
from mailstack.admin.truth_table import Option, Row
from mailstack.config.hosts import SMTP_PORT, Target, target
from mailstack.config.ini import scan
from mailstack.config.problem import BadValue
from mailstack.intake.relay import RelayRule

T = TypeVar("T")


@click.group()
def relay() -> None:
    """Who may send what through us.

    A server that takes mail from anybody for anybody is an open relay: spammers find it within hours, and the rest of
    the world then blocks it.
    """


# ---- The table


@relay.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON array, an object for each row.")
@click.pass_obj
def table(site: Site, as_json: bool) -> None:
    """Who may send to whom, and which line of the configuration says so.

    Each answer is what the receiver really says: played with its own code and the real accounts and aliases, in
    memory. WHERE is the line of the option that decides; "default" where none is written.
    """
    found = truth_table.rows(site.settings, site.book())
    if as_json:
        json_out([_object(row, _lines(site, f"{site.source}:")) for row in found])
        return
    for line in relay_table.listing(found, _lines(site, "line ")):
        click.echo(line)
    click.echo(clean(f"Lines are those of {site.source}."))
    for note in truth_table.missing(found):
        click.echo(note)


def _object(row: Row, where: Callable[[Option], str]) -> dict[str, object]:
    return {
        "who": row.who,
        "client": row.client,
        "port": written(row.port),
        "tls": row.tls,
        "login": row.login,
        "to": row.to,
        "recipient": row.recipient,
        "taken": row.taken,
        "answer": row.answer,
        "option": written(row.decides),
        "where": where(row.decides),
    }


def _lines(site: Site, prefix: str) -> Callable[[Option], str]:
    """The line of an option after ``prefix``; ``default`` when it is not written."""
    entries = scan(site.source.read_text("utf-8-sig"), site.source).entries
    return lambda option: f"{prefix}{entries[option].line}" if option in entries else "default"


# ---- The test


@relay.command("test")
@click.option("--as", "client", metavar="ADDRESS", help=f"The client's IP address  [default: {truth_table.STRANGER}]")
@click.option("--against", metavar="HOST:PORT", help="Try a running server, from here, instead of the rules in memory.")
@click.option("--verbose", is_flag=True, help="Show the session of every trick that got through, not one of each kind.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array, an object for each trick, with the transcript.")
@click.pass_context
def test_(context: click.Context, client: str | None, against: str | None, verbose: bool, as_json: bool) -> None:
    """Try to relay through us with every trick that is known.

    Without --against the tricks are played with the receiver's own code in memory, with the real configuration,
    accounts and aliases: nothing is written, nothing is sent. With it they are played to a server, up to RCPT: no
    message is sent there. Names come from the configuration.

    Exit code 1 when anything got through, or when the test could not be done.
    """
    site: Site = context.obj
    played = _against(site, against, client) if against else _in_memory(site, client or truth_table.STRANGER)
    if as_json:
        json_out([relay_report.as_object(one) for one in played])
    else:
        relay_report.report(played, verbose)
    if any(one.outcome is Outcome.THROUGH for one in played):
        context.exit(1)


def _in_memory(site: Site, client: str) -> list[Played]:
    settings = site.settings
    _explain(site, client)
    rehearsals = truth_table.ports(settings, account=None)
    tricks = relay_test.playable(content=True, backup=bool(settings.relay.domains))
    if not rehearsals:
        raise Failed("the test could not be done: [smtp] and [submission] are both off")
    names = _names(site, truth_table.LOOPBACK)
    if not rehearsals[0].submission:
        _must_take(relay_test.reception_of(rehearsals[0].call(client), relay_test.HONEST, names), "this server")
    pairs = [(rehearsal, trick) for rehearsal in rehearsals for trick in tricks]
    with _progress(pairs) as steps:
        played = [relay_test.rehearse(trick, rehearsal, client, names) for rehearsal, trick in steps]
    for rehearsal in rehearsals:
        if rehearsal.log.failures:
            raise Failed(f"the test could not be done, a bug: {rehearsal.log.failures[0]}")
    return played


def _names(site: Site, ip: str) -> dict[str, str]:
    """What the letters in tricks mean, to a server at this address."""
    somebody = truth_table.somebody(site.settings, site.book())
    return places(site.settings, somebody, ip) | return_places(somebody.domain, time())


def _explain(site: Site, client: str) -> None:
    try:
        ip_address(client)
    except ValueError:
        raise click.UsageError(f"{client!r} is not an IP address.") from None
    if RelayRule.of(site.settings.relay).trusts(client):
        networks = _lines(site, f"{site.source}:")(("relay", "networks"))
        warn(f"{client} is in [relay] networks ({networks}): whoever calls from there may send to everybody")


def _must_take(answer: str, who: str) -> None:
    """If even honest mail is not taken now, refusals prove nothing."""
    if not answer.startswith(("2", "5")):
        raise Failed(clean(f"the test could not be done: {who} takes no mail now: {answer or 'it hangs up'}"))
    if answer.startswith("5"):
        warn(f"{who} does not take mail for us, so its refusals prove little: {answer}")


def _against(site: Site, server: str, client: str | None) -> list[Played]:
    if client is not None:
        raise click.UsageError("--as is for the test in memory: to a server you come with the address that you have.")
    try:
        where = target(server, SMTP_PORT)
    except BadValue as error:
        raise click.UsageError(f"--against: {error}.") from None
    played: list[Played] = []
    try:
        # One by one, so that what was found stays when the server goes away.
        for one in _asked(site, where):
            played.append(one)
    except Unanswered as error:
        if not any(one.outcome is Outcome.THROUGH for one in played):
            raise Failed(clean(f"the test could not be done: {error}")) from None
        warn(f"the test ended early: {error}")
    return played


def _asked(site: Site, where: Target) -> Iterator[Played]:
    first = Call(where)
    names = _names(site, first.address)
    name = f"{where.host}:{where.port}"
    _must_take(relay_test.reception_of(first, relay_test.HONEST, names), name)
    any_name = relay_test.reception_of(Call(where), relay_test.NOBODY, names).startswith("2")
    tricks = relay_test.playable(content=False, backup=bool(site.settings.relay.domains))
    with _progress(tricks) as steps:
        for trick in steps:
            yield relay_test.ask(trick, Call(where), name, names, any_name)


@contextmanager
def _progress(steps: Sequence[T]) -> Iterator[Iterable[T]]:
    """A bar on a terminal; it goes to standard error, where it is in nobody's way."""
    if not sys.stderr.isatty():
        yield steps
        return
    with click.progressbar(steps, label="Tricks", file=sys.stderr) as bar:
        yield bar
