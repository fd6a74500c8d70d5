"""``mailstack user``: the accounts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TypedDict

import click

from mailstack.accounts import passwords, verifiers
from mailstack.accounts.first_start import first_start
from mailstack.accounts.users import SAVE_SENT, Account, canonical
from mailstack.accounts.users_file import AccountExists, NoSuchAccount
from mailstack.admin.output import json_out, table
from mailstack.admin.site import Failed, Site, warn
from mailstack.model.address import Address
from mailstack.model.maildir_name import below_mail
from mailstack.protocol import sasl

SHORT_PASSWORD = 10  # characters; with fewer, one that people think of is soon found


class Described(TypedDict):
    """An account for the list."""

    address: str
    scheme: str
    mechanisms: list[str]
    mailbox: str
    save_sent: bool  # what counts in the end


password_stdin = click.option(
    "--password-stdin",
    is_flag=True,
    help="Take the password from the first line of standard input.",
)


@click.group()
def user() -> None:
    """Accounts: who has a mailbox and may send.

    People log in with their full address. Without --password-stdin a password is made up and shown once; passwords are
    never arguments, for everybody on the machine could read them.
    """


@user.command()
@click.argument("address")
@password_stdin
@click.pass_obj
def add(site: Site, address: str, password_stdin: bool) -> None:
    """Make an account: ADDRESS is like alice@office.test."""
    account = _account(site, address)
    password, made_up = _password(password_stdin)
    first_start(site.settings)
    try:
        site.users_file.add(account, *_stored(password))
    except AccountExists:
        raise Failed(f"{account} exists already; for a new password: mailstack user passwd {account}") from None
    click.echo(f"{account} was added.")
    _show(made_up)


@user.command()
@click.argument("address")
@password_stdin
@click.pass_obj
def passwd(site: Site, address: str, password_stdin: bool) -> None:
    """Give an account a new password. The old one stops working at once."""
    account = _account(site, address)
    password, made_up = _password(password_stdin)
    try:
        site.users_file.set_password(account, *_stored(password))
    except NoSuchAccount:
        raise _nobody(account) from None
    click.echo(f"{account} has a new password.")
    _show(made_up)


@user.command("set")
@click.argument("address")
@click.argument("setting", metavar="save_sent=yes|no|default")
@click.pass_obj
def set_(site: Site, address: str, setting: str) -> None:
    """Say what is different for one account. It holds at once.

    save_sent: whether what it sends is saved in its Sent folder; default: as [submission] save_sent has it.
    """
    name, _, value = setting.partition("=")
    if name != SAVE_SENT or value not in ("yes", "no", "default"):
        raise click.UsageError(
            f"{setting!r} cannot be set; write {SAVE_SENT}=yes, {SAVE_SENT}=no or {SAVE_SENT}=default"
        )
    account = _account(site, address)
    try:
        site.users_file.set_field(account, name, "" if value == "default" else value)
    except NoSuchAccount:
        raise _nobody(account) from None
    saved = {"yes": "is saved", "no": "is not saved", "default": "is saved if mail.ini says so"}[value]
    click.echo(f"What {account} sends {saved} in its Sent folder.")


@user.command()
@click.argument("address")
@click.pass_obj
def remove(site: Site, address: str) -> None:
    """Take an account away. Its mail stays where it is."""
    parsed = site.address(address)
    account = parsed.canonical
    try:
        site.users_file.remove(account)
    except NoSuchAccount:
        raise _nobody(account) from None
    click.echo(f"{account} was removed.")
    folder = _maildir(site, account)
    if folder.exists():
        click.echo(f"The mail is still in {folder}")


@user.command("list", short_help="All accounts, and how they can log in.")
@click.option(
    "--json", "as_json", is_flag=True, help="One JSON array: address, scheme, mechanisms, mailbox, save_sent."
)
@click.pass_obj
def list_(site: Site, as_json: bool) -> None:
    """All accounts, with the scheme of their passwords, how they can log in, whether what they send is saved, and where
    their mail is."""
    found = site.users()
    for line in found.broken:
        warn(str(line))
    accounts = [
        _described(site, found.accounts[key])
        for key in sorted(found.accounts, key=lambda key: found.accounts[key].address)
    ]
    if as_json:
        json_out(accounts)
    elif accounts:
        click.echo(
            "\n".join(table(("ADDRESS", "PASSWORD", "MECHANISMS", "SAVE_SENT", "MAILBOX"), list(map(_row, accounts))))
        )
    else:
        click.echo("There are no accounts yet; make one: mailstack user add ADDRESS")


def _row(each: Described) -> tuple[str, ...]:
    saved = "yes" if each["save_sent"] else "no"
    return (each["address"], each["scheme"], " ".join(each["mechanisms"]), saved, each["mailbox"])


def _described(site: Site, account: Account) -> Described:
    usable = passwords.trouble(account.password) is None
    return {
        "address": str(account.address),
        "scheme": passwords.parse(account.password).scheme,
        "mechanisms": list(sasl.possible(account.scram, account.scram)) if usable else [],
        "mailbox": str(_maildir(site, account.address)),
        "save_sent": site.settings.submission.save_sent if account.save_sent is None else account.save_sent,
    }


def _account(site: Site, text: str) -> Address:
    try:
        return canonical(str(site.address(text)), site.settings.server.domains)
    except ValueError as error:
        domains = ", ".join(site.settings.server.domains)
        raise Failed(f"{error}; accounts are in {domains}") from None


def _password(from_stdin: bool) -> tuple[str, str | None]:
    """The password, and once more if it was made up here."""
    if not from_stdin:
        made_up = passwords.made_up()
        return made_up, made_up
    line = sys.stdin.buffer.readline().decode("utf-8", "surrogateescape").rstrip("\r\n")
    if not line:
        raise Failed("there is no password in the first line of standard input")
    if len(line) < SHORT_PASSWORD:
        warn(f"the password has fewer than {SHORT_PASSWORD} characters, and guessers try those first")
    return line, None


def _stored(password: str) -> tuple[str, str]:
    """The hash, and the keys for SCRAM beside it."""
    stored = passwords.make(password)
    return stored, verifiers.make(stored, password)


def _show(made_up: str | None) -> None:
    if made_up:
        click.echo(f"Password: {made_up}")
        click.echo("Write it down: it is not shown again.")


def _nobody(account: Address) -> Failed:
    return Failed(f"there is no account {account}; see: mailstack user list")


def _maildir(site: Site, account: Address) -> Path:
    try:
        return site.settings.server.data / "mail" / below_mail(account)
    except ValueError as error:
        raise Failed(str(error)) from None
