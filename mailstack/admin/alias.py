"""``mailstack alias``: where mail goes."""

from __future__ import annotations

import click

from mailstack.accounts.book import Step
from mailstack.admin.output import clean, json_out
from mailstack.admin.site import Failed, Site
from mailstack.model.maildir_name import below_mail

#: What each rule of a step means to a reader; ``account``, ``elsewhere`` and the aliases have more to say.
ENDS = {
    "unknown": "does not exist: refused with 550 5.1.1",
    "return": "is a return address that we gave out (SRS), for bounces alone, leads to",
    "forged": "has the form of a return address (SRS), but we did not give it out: refused with 550 5.1.1",
    "expired": "is a return address (SRS) that has expired: refused with 550 5.1.1",
    "loop": "leads back to itself",
    "unsure": "cannot be told, its file is missing or its line is broken: put off with 451 4.3.0",
    "too many": "is too far, or one of too many: put off with 451 4.3.0",
    "elsewhere": "goes out by the queue",
    "postmaster": "as in every domain, leads to",
}


@click.group()
def alias() -> None:
    """Aliases: other names for accounts, and lists of them. They are in the aliases file, see etc/mail.ini."""


@alias.command()
@click.argument("address")
@click.option("--json", "as_json", is_flag=True, help="One JSON array of steps: depth, address, rule, targets, where.")
@click.pass_obj
def resolve(site: Site, address: str, as_json: bool) -> None:
    """Show where mail for ADDRESS goes, step by step.

    Exit code 1 when it goes nowhere.
    """
    steps = list(site.book().steps(site.address(address)))
    if as_json:
        json_out([_object(step) for step in steps])
    else:
        for step in steps:
            click.echo(clean(f"{'  ' * step.depth}{step.address} {_meaning(site, step)}"))
    if not any(step.rule in ("account", "elsewhere") for step in steps):
        raise Failed(f"mail for {address} reaches nobody")


def _object(step: Step) -> dict[str, object]:
    targets = [str(target) for target in step.targets]
    return {
        "depth": step.depth,
        "address": str(step.address),
        "rule": step.rule,
        "targets": targets,
        "where": step.where,
    }


def _meaning(site: Site, step: Step) -> str:
    if step.rule == "account":
        account = step.targets[0]
        of = "" if account.key == step.address.key else f" of {account}"
        return f"is the mailbox{of}: {site.settings.server.data / 'mail' / below_mail(account)}"
    if step.rule in ("alias", "catch-all"):
        where = f" ({step.where})" if step.where else " ([accounts] catch_all)"
        return f"is {'an alias' if step.rule == 'alias' else 'for the catch-all'}{where}, leads to"
    return ENDS[step.rule]
