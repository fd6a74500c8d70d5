"""``mailstack session``: who has talked with the server, and what was said."""

from __future__ import annotations

import os
from collections.abc import Mapping
from ipaddress import ip_address

import click

from mailstack.admin import dialogues
from mailstack.admin.output import clean, count, json_out
from mailstack.admin.site import Failed, Site
from mailstack.message.explain import LANGUAGES
from mailstack.model.transcript import Transcript
from mailstack.queue.wording import read_dictionary


@click.group()
def session() -> None:
    """The last SMTP sessions, without messages and passwords. [log] sessions says how many are kept."""


@session.command("list")
@click.option("--failed", is_flag=True, help="Only those in which something was refused, or which ended without QUIT.")
@click.option("--client", metavar="ADDRESS", help="Only those of this IP address.")
@click.option("--user", metavar="ADDRESS", help="Only those in which this account was logged in, or tried to.")
@click.option("--said", metavar="TEXT", help="Only those in which this was said, in any case of letters.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array, an object a session.")
@click.pass_obj
def list_(site: Site, failed: bool, client: str | None, user: str | None, said: str | None, as_json: bool) -> None:
    """The sessions, the newest last, and what was refused in them."""
    address = client and _address(client)
    found = [
        each
        for each in site.sessions()
        if (not failed or dialogues.failed(each))
        and address in (None, each.client)
        and (user is None or each.is_of(user))
        and (said is None or _was_said(said, each))
    ]
    if as_json:
        json_out([dialogues.as_object(each) for each in found])
    elif found:
        click.echo("\n".join(dialogues.listing(found)))
        click.echo(count(len(found), "session"))
    else:
        click.echo(_none(site, any((failed, client, user, said))))


def _address(client: str) -> str:
    """As the sessions have it."""
    try:
        return str(ip_address(client))
    except ValueError:
        raise click.UsageError(f"--client: {client!r} is not an IP address.") from None


def _was_said(text: str, transcript: Transcript) -> bool:
    return any(text.lower() in line.text.lower() for line in transcript.lines)


def _none(site: Site, chosen: bool) -> str:
    if not site.settings.log.sessions:
        return "No sessions are kept: [log] sessions = 0."
    return "No such sessions among those that are kept." if chosen else "No sessions yet."


@session.command()
@click.argument("id")
@click.option("--explain", is_flag=True, help="Say what each command and each reply means, and where it is written.")
@click.option("--lang", type=click.Choice(LANGUAGES), help="The language of that.  [default: the locale's, else en]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, as in the list, with the lines.")
@click.pass_obj
def show(site: Site, id: str, explain: bool, lang: str | None, as_json: bool) -> None:
    """The dialogue of one session: C is the client, S is our server.

    In front stand the milliseconds since the connection.
    """
    transcript = next((each for each in site.sessions() if str(each.id) == id), None)
    if transcript is None:
        kept = site.settings.log.sessions
        raise Failed(clean(f"there is no session {id}; the last {kept} are kept, see: mailstack session list"))
    dictionary = read_dictionary(lang or language(os.environ)) if explain else None
    if as_json:
        json_out({**dialogues.as_object(transcript), "lines": dialogues.line_objects(transcript, dictionary)})
    else:
        click.echo("\n".join(dialogues.sheet(transcript, dictionary)))


def language(environment: Mapping[str, str]) -> str:
    """Of messages, as locale(7) has it."""
    names = (environment.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    chosen = next(filter(None, names), "")[:2]
    return chosen if chosen in LANGUAGES else LANGUAGES[0]
