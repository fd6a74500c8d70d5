"""``mailstack user``: the accounts."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from mailstack.accounts import passwords
from mailstack.accounts.first_start import first_start
from mailstack.accounts.users import canonical
from mailstack.accounts.users_file import AccountExists, NoSuchAccount
from mailstack.admin.output import json_out, table
from mailstack.admin.site import Failed, Site, warn
from mailstack.model.address import Address
from mailstack.model.maildir_name import below_mail

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
        site.users_file.add(account, passwords.make(password))
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
        site.users_file.set_password(account, passwords.make(password))
    except NoSuchAccount:
        raise _nobody(account) from None
    click.echo(f"{account} has a new password.")
    _show(made_up)


@user.command()
@click.argument("address")
@click.pass_obj
def remove(site: Site, address: str) -> None:
    """Take an account away. Its mail stays where it is."""
    parsed = site.address(address)
    account = Address(parsed.local.lower(), parsed.domain)
    try:
        site.users_file.remove(account)
    except NoSuchAccount:
        raise _nobody(account) from None
    click.echo(f"{account} was removed.")
    folder = _maildir(site, account)
    if folder.exists():
        click.echo(f"The mail is still in {folder}")


@user.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON array: address, scheme, mailbox.")
@click.pass_obj
def list_(site: Site, as_json: bool) -> None:
    """All accounts, with the scheme of their passwords and where their mail is."""
    found = site.users()
    for line in found.broken:
        warn(str(line))
    rows = [
        (str(account.address), passwords.parse(account.password).scheme, str(_maildir(site, account.address)))
        for account in sorted(found.accounts.values(), key=lambda account: account.address)
    ]
    if as_json:
        json_out([dict(zip(("address", "scheme", "mailbox"), row, strict=True)) for row in rows])
    elif rows:
        click.echo("\n".join(table(("ADDRESS", "PASSWORD", "MAILBOX"), rows)))
    else:
        click.echo("There are no accounts yet; make one: mailstack user add ADDRESS")


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
    return line, None


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
