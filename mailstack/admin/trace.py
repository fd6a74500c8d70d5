"""``mailstack trace``: which way a letter has come, and what of it is sure."""

from __future__ import annotations

import os
import sys
import tomllib
from importlib import resources
from ipaddress import ip_network
from pathlib import Path

import click
from attrs import evolve

from mailstack.admin.output import clean, json_out
from mailstack.admin.session import language
from mailstack.admin.site import Failed, Site
from mailstack.admin.trace_sentences import Traced
from mailstack.admin.trace_sheet import as_object, sheet
from mailstack.message.clues import beside
from mailstack.message.explain import LANGUAGES
from mailstack.message.fields import fields
from mailstack.message.journey import Ours, journey
from mailstack.message.phrases import Phrases
from mailstack.message.received import stamp
from mailstack.model.address import DOMAIN
from mailstack.model.domain import to_ascii

MAX_HEADER = 4 * 1024 * 1024  # octets of a letter that are read


@click.command()
@click.argument("file")
@click.option(
    "--trust", multiple=True, metavar="HOST", help="A host of ours, too: a name, .domain, address or network."
)
@click.option("--lang", type=click.Choice(LANGUAGES), help="The language.  [default: the locale's, else en]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def trace(site: Site, file: str, trust: tuple[str, ...], lang: str | None, as_json: bool) -> None:
    """The hops of a letter, the oldest first, by its Received fields.

    FILE is a file of a Maildir, a letter that a mail program has saved (.eml), or an mbox, whose first letter counts;
    - is standard input. Received lines are put on top, one by each server; only those by our own servers are sure:
    [server] hostname and domains, and what --trust names.
    """
    ours = _ours(site, trust)
    head = _read(file)
    found = fields(head)
    if not found:
        raise Failed(clean(f"{file}: this is not a letter: it does not begin with header fields"))
    way = journey([stamp(each.text) for each in found if each.name == "received"], ours)
    traced = Traced(way, beside(found, way, ours), cut=len(head) == MAX_HEADER)
    phrases = read_phrases(lang or language(os.environ))
    if as_json:
        json_out(as_object(traced, phrases))
    else:
        click.echo("\n".join(sheet(traced, phrases)))


def _read(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read(MAX_HEADER)
    with Path(file).open("rb") as letter:
        return letter.read(MAX_HEADER)


def _ours(site: Site, trust: tuple[str, ...]) -> Ours:
    server = site.settings.server
    found = Ours(frozenset({server.hostname.lower()}), frozenset(server.domains))
    for host in trust:
        found = _trusting(found, host.strip())
    return found


def _trusting(ours: Ours, host: str) -> Ours:
    try:
        return evolve(ours, networks=(*ours.networks, ip_network(host.strip("[]"), strict=False)))
    except ValueError:
        pass
    try:
        name = to_ascii(host.removeprefix(".")).rstrip(".")
    except ValueError:
        name = ""
    if not DOMAIN.match(name):
        raise click.UsageError(f"--trust: {clean(host)!r} is neither a host, nor an address, nor a network.")
    if host.startswith("."):
        return evolve(ours, domains=ours.domains | {name})
    return evolve(ours, hosts=ours.hosts | {name})


def read_phrases(language: str, topic: str = "trace") -> Phrases:
    path = resources.files("mailstack.message") / "meaning" / f"{topic}.toml"
    return Phrases(tomllib.loads(path.read_text("utf-8")), language)
