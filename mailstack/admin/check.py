"""``mailstack check``: is everything in order?"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import click

from mailstack.accounts import passwords
from mailstack.accounts.book import Book, dangling
from mailstack.accounts.lines import BrokenLine
from mailstack.accounts.returns import key_file
from mailstack.accounts.users import Users
from mailstack.admin.findings import Finding, Level
from mailstack.admin.output import clean, count
from mailstack.admin.site import Failed, Site
from mailstack.config.openness import many, too_open
from mailstack.config.reader import load
from mailstack.config.settings import Settings
from mailstack.queue.wording import read_voice

COLOURS = {Level.OK: "green", Level.WARNING: "yellow", Level.PROBLEM: "red"}
MAX_NAMES = 5  # in one finding


@click.command(short_help="Is everything in order?")
@click.pass_obj
def check(site: Site) -> None:
    """Look at the configuration, the accounts, the certificate and the data folder.

    Exit code 0: the server can work, perhaps with warnings; 1: something is wrong; 78: the configuration is.
    """
    settings = load(site.source)
    findings = [Finding(Level.OK, f"{site.source}: no mistakes"), *look(site, settings)]
    for finding in findings:
        click.echo(f"{click.style(f'{finding.level.value:<8}', fg=COLOURS[finding.level])} {clean(finding.text)}")
    problems = sum(finding.level is Level.PROBLEM for finding in findings)
    if problems:
        raise Failed(f"{count(problems, 'problem')}, see above")


def look(site: Site, settings: Settings) -> Iterator[Finding]:
    yield from _relay(settings)
    yield from _accounts(site)
    key = key_file(settings.server.data)
    for path in (settings.accounts.users, *settings.tls.key, settings.smarthost.password_file, key):
        if path is not None:
            yield from _secret(path)
    yield from _certificates(settings)
    yield from _policies(settings)
    yield from _templates(settings)
    yield from _data(settings.server.data)


def _relay(settings: Settings) -> Iterator[Finding]:
    reason = too_open(settings.relay.networks)
    if reason:
        yield Finding(Level.WARNING, f"[relay] networks: this is an open relay, as you accept: {reason}")
    elif strangers := many(settings.relay.networks):
        yield Finding(Level.WARNING, f"[relay] networks: {strangers} may relay; are all of them yours?")
    if settings.server.xclient:
        proxies = ", ".join(map(str, settings.server.xclient))
        power = "may say to be any client, and any user without a password"
        yield Finding(Level.WARNING, f"[server] xclient: whoever connects from {proxies} {power}")


def _accounts(site: Site) -> Iterator[Finding]:
    settings = site.settings
    started = (settings.server.data / "spool/queue.db").exists()
    users, aliases = None, None
    try:
        users = site.users()
        yield from _users(settings.accounts.users, users)
    except OSError as error:
        yield _unreadable(error, started)
    try:
        aliases = site.aliases()
        yield from _broken(aliases.broken)
    except OSError as error:
        yield _unreadable(error, started)
    if aliases is None or settings.accounts.aliases is None:
        return
    book = Book(settings, users, aliases)
    yield from _broken(dangling(book))
    yield from _postmaster(settings, book)
    yield Finding(Level.OK, f"{settings.accounts.aliases}: {count(len(aliases.aliases), 'alias', 'aliases')}")


def _users(path: Path, users: Users) -> Iterator[Finding]:
    yield from _broken(users.broken)
    yield Finding(Level.OK, f"{path}: {count(len(users.accounts), 'account')}")
    if not users.accounts:
        yield Finding(Level.WARNING, "there are no accounts yet; make one: mailstack user add ADDRESS")
    yield from _without_scram(users)


def _without_scram(users: Users) -> Iterator[Finding]:
    """Some programs choose SCRAM by themselves as soon as it is on offer, and do not try another mechanism."""
    accounts = [account for account in users.accounts.values() if passwords.trouble(account.password) is None]
    without = [str(account.address) for account in accounts if not account.scram]
    if without:
        names = ", ".join(without[:MAX_NAMES]) + (", …" if len(without) > MAX_NAMES else "")
        anew = "there are no keys that go with the password; set it anew: mailstack user passwd ADDRESS"
        yield Finding(Level.WARNING, f"{count(len(without), 'account')} cannot log in with SCRAM ({names}): {anew}")


def _postmaster(settings: Settings, book: Book) -> Iterator[Finding]:
    """RFC 5321 §4.5.1: mail for postmaster must be taken; somebody should also read it."""
    postmaster = settings.server.postmaster
    ends = [step for step in book.steps(postmaster) if step.rule in ("account", "elsewhere")]
    known = book.users.accounts if book.users else {}
    read = any(step.rule == "elsewhere" or step.targets[0].key in known for step in ends)
    if known and postmaster.domain in settings.server.domains and not read:
        yield Finding(Level.WARNING, f"nobody can fetch the mail of {postmaster}; make an alias, or an account for it")


def _broken(lines: Iterable[BrokenLine]) -> Iterator[Finding]:
    return (Finding(Level.PROBLEM, str(line)) for line in lines)


def _unreadable(error: OSError, started: bool) -> Finding:
    if isinstance(error, FileNotFoundError) and not started:
        return Finding(Level.WARNING, f"{error.filename}: not there yet, the first start makes it")
    return Finding(Level.PROBLEM, f"{error.filename} cannot be read: {error.strerror}")


def _secret(path: Path) -> Iterator[Finding]:
    try:
        mode = path.stat().st_mode & 0o777
    except OSError:
        return  # told elsewhere
    if mode & 0o007:
        yield Finding(Level.WARNING, f"{path}: everybody on this machine may read or change it; chmod 600 {path}")


def _certificates(settings: Settings) -> Iterator[Finding]:
    from mailstack.admin.certificate import inspect  # here, because cryptography is slow to load

    pairs = settings.tls.pairs
    if not pairs:
        certificate, key = settings.self_signed
        if not certificate.exists() and not key.exists():
            yield Finding(Level.OK, "[tls] certificate: the first start makes a self-signed one")
            return
        pairs = ((certificate, key),)
    yield from inspect(pairs, settings.server.hostname, datetime.now(UTC))


def _policies(settings: Settings) -> Iterator[Finding]:
    policy = settings.tls.policy
    if policy.smtp == "required" and settings.smtp.listen:
        wrong = "mail from servers without TLS will not come in, and RFC 3207 (section 4) asks for it to"
        yield Finding(Level.WARNING, f"[tls] policy: smtp is required: {wrong}")
    for service, listen in (("submission", settings.submission.listen), ("pop3", settings.pop3.listen)):
        if listen and getattr(policy, service) == "none":
            wrong = "only programs on this machine can log in there"
            yield Finding(Level.WARNING, f"[tls] policy: {service} is none, so [{service}] listen has no TLS: {wrong}")


def _templates(settings: Settings) -> Iterator[Finding]:
    folder = settings.server.templates
    if folder is None:
        return
    found = read_voice(settings.server.language, folder)
    yield from (Finding(Level.PROBLEM, problem) for problem in found.problems)
    yield Finding(Level.OK, f"{folder}: {count(len(found.replaced), 'template')} in the place of ours")


def _data(data: Path) -> Iterator[Finding]:
    existing = data
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        yield Finding(Level.PROBLEM, f"{existing} is not a folder, but [server] data is {data}")
    elif not os.access(existing, os.W_OK | os.X_OK):
        yield Finding(Level.PROBLEM, f"{existing} cannot be written to by you")
    elif existing != data:
        yield Finding(Level.OK, f"{data}: not there yet, the first start makes it")
    else:
        yield Finding(Level.OK, f"{data}: can be written to")
