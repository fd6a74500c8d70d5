"""``mailstack doctor``: what is wrong now, and what to do."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from mailstack.admin.findings import Level
from mailstack.admin.output import clean, count, json_out
from mailstack.admin.session import language
from mailstack.admin.site import Failed, Site
from mailstack.admin.trace import read_phrases
from mailstack.message.explain import LANGUAGES

if TYPE_CHECKING:
    from mailstack.admin.doctor_looks import Symptom

COLOURS = {Level.OK: "green", Level.WARNING: "yellow", Level.PROBLEM: "red"}


@click.command(short_help="What is wrong now, and what to do?")
@click.option("--lang", type=click.Choice(LANGUAGES), help="The language.  [default: the locale's, else en]")
@click.option("--json", "as_json", is_flag=True, help="One JSON array, an object a finding.")
@click.pass_obj
def doctor(site: Site, lang: str | None, as_json: bool) -> None:
    """Look at the disk, the queue and the server: what is wrong now, and what to do.

    It looks by itself, whether the server runs or not, and tells the alarms of a server that runs. Exit code 0: all is
    well, perhaps with warnings; 1: something is wrong.
    """
    from mailstack.admin.doctor_looks import (
        Doctor,  # here, because it needs the database and what the server is made of
    )

    phrases = read_phrases(lang or language(os.environ), "doctor")
    found = list(Doctor(site.source, site.settings, phrases, site.now).symptoms())
    if as_json:
        json_out([_as_object(each) for each in found])
    else:
        for each in found:
            _show(each)
    problems = sum(each.level is Level.PROBLEM for each in found)
    if problems and as_json:
        raise click.exceptions.Exit(1)
    if problems:
        raise Failed(f"{count(problems, 'problem')}, see above")


def _show(symptom: Symptom) -> None:
    level = click.style(f"{symptom.level.value:<8}", fg=COLOURS[symptom.level])
    click.echo(f"{level} {clean(symptom.text)}")
    if symptom.act:
        click.echo(f"{'':<8} -> {clean(symptom.act)}")


def _as_object(symptom: Symptom) -> dict[str, object]:
    return {"check": symptom.check, "level": symptom.level.value, "text": symptom.text, "act": symptom.act or None}
