"""The users file: an account a line, ``alice@office.test:{ARGON2ID}$argon2id$…``, as in a Dovecot passwd-file.

Of the further ``:`` fields we know two extra ones; all others are somebody else's and kept. A line that cannot be
understood is reported; the others work.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from attrs import field, frozen

from mailstack.accounts import extra_fields, passwords
from mailstack.accounts.lines import BrokenLine, text_of
from mailstack.model.address import Address
from mailstack.model.maildir_name import below_mail
from mailstack.protocol.scram import Verifier

SAVE_SENT = "save_sent"  # an extra field: yes or no


@frozen
class Account:
    address: Address  #: canonical: lower case
    password: str = field(repr=False)  #: with its ``{SCHEME}``
    line: int
    text: str = field(repr=False)  #: the whole line
    keys: Verifier | None = None  #: for SCRAM
    save_sent: bool | None = None  #: in the place of [submission] save_sent, if it says so

    @property
    def scram(self) -> bool:
        """Whether this account can log in with SCRAM."""
        return self.keys is not None or bool(passwords.clear(self.password))


@frozen
class Users:
    """What a users file says. ``accounts`` is by :attr:`Address.key`, in the order of the file."""

    accounts: Mapping[str, Account]
    broken: tuple[BrokenLine, ...] = ()
    files: tuple[Path, ...] = ()
    scram: bool = False  #: some account can log in with SCRAM


def read(path: Path, domains: Collection[str]) -> Users:
    """OSError."""
    return parse(text_of(path), path, domains)


def parse(text: str, path: Path, domains: Collection[str]) -> Users:
    accounts: dict[str, Account] = {}
    broken: list[BrokenLine] = []
    for number, line in entries(text):
        name, _, rest = line.partition(":")
        password, _, further = rest.partition(":")
        try:
            address = canonical(name, domains)
            account = Account(address, password, number, line, _keys(password, further), save_sent(further))
            first = accounts.setdefault(address.key, account)
            if first.line != number:
                raise ValueError(f"{address} stands in line {first.line} already")
        except ValueError as error:
            broken.append(BrokenLine(path, number, str(error)))
            continue
        trouble = passwords.trouble(password)
        if trouble:
            broken.append(BrokenLine(path, number, f"{address} cannot log in: {trouble}"))
        if account.save_sent is None and extra_fields.value(further, SAVE_SENT) is not None:
            broken.append(BrokenLine(path, number, f"{address}: {SAVE_SENT} is yes or no"))
    return Users(accounts, tuple(broken), (path,), any(account.scram for account in accounts.values()))


def save_sent(further: str) -> bool | None:
    """What the fields behind a password say of it; None: nothing that can be understood."""
    written = extra_fields.value(further, SAVE_SENT)
    # Dovecot has "yes" for a field without a value.
    return None if written is None else {"yes": True, "": True, "no": False}.get(written.lower())


def _keys(password: str, further: str) -> Verifier | None:
    """Those that cannot be understood are none: "mailstack check" tells who has none."""
    try:
        return passwords.keys(password, further)
    except ValueError:
        return None


def entries(text: str) -> Iterator[tuple[int, str]]:
    """The lines that are neither blank nor comments, with their numbers."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line.rstrip("\r")


def canonical(name: str, domains: Collection[str]) -> Address:
    """The address of an account. ValueError: it can be none, and why."""
    parsed = Address.parse(name)
    below_mail(parsed)
    if ":" in parsed.local or parsed.local.startswith("#"):
        raise ValueError(f"{parsed}: a passwd-file cannot hold this name")
    if parsed.domain not in domains:
        raise ValueError(f"{parsed}: {parsed.domain} is not in [server] domains")
    return parsed.canonical
