"""Who may send to whom, cell by cell: each answer is what the real receiver says, played in memory."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address

from attrs import evolve, field, frozen

from mailstack.accounts.book import Book
from mailstack.admin.rehearsal import Rehearsal
from mailstack.admin.trick import FAR, SENDER
from mailstack.config.settings import Network, Settings
from mailstack.model.address import Address

STRANGER = "203.0.113.9"  # nobody's address: RFC 5737
#: Of each, the first one that [relay] networks do not hold calls as a stranger; the first one if they hold all.
STRANGERS = ((STRANGER, "198.51.100.9", "192.0.2.9", "8.8.8.8"), ("2001:db8::9", "3fff::9", "2001:4860:4860::8888"))
LOOPBACK = "127.0.0.1"

Option = tuple[str, str]  #: section and key of mail.ini

#: What decides that mail is taken; for foreign domains it is what makes us trust the client.
_TAKEN: Mapping[str, Option] = {
    "local": ("server", "domains"),
    "alias": ("accounts", "aliases"),
    "backup": ("relay", "domains"),
}
#: What would have to be changed for mail to be taken.
_REFUSED: Mapping[str, Option] = {
    "local": ("accounts", "users"),
    "alias": ("accounts", "aliases"),
    "backup": ("relay", "domains"),
    "foreign": ("relay", "networks"),
}
LOGIN_FIRST = "530"
TLS_FIRST = "530 5.7.0 Must issue a STARTTLS"


@frozen
class Client:
    """One who tries. ``password``: they log in, as the account of the rehearsal."""

    who: str
    address: str
    trusted_by: Option = ("relay", "networks")
    password: bool = False


@frozen
class Row:
    """One cell of the table with its reason."""

    who: str
    client: str
    port: Option
    tls: str  #: yes, no, or either when it makes no difference
    login: str  #: yes, no, or the reply that refuses it
    to: str  #: local, alias (that leads outside), backup, foreign
    recipient: str
    answer: str
    decides: Option
    taken: bool = field(init=False)

    @taken.default
    def _by_the_code(self) -> bool:
        return self.answer.startswith("2")


def rows(settings: Settings, book: Book) -> list[Row]:
    account = somebody(settings, book)
    targets = dict(_targets(settings, book, account))
    found: dict[tuple[object, ...], Row] = {}
    for row in _rows(settings, account, targets):
        same = evolve(row, tls="either")
        key = (row.who, row.client, row.port, row.to, row.login)
        # With TLS and without the same: one row. An answer that differs has a row of its own.
        before = found.get(key)
        if before is not None and evolve(before, tls="either") == same:
            found[key] = same
        else:
            found[key if before is None else (*key, row.tls)] = row
    return list(found.values())


def somebody(settings: Settings, book: Book) -> Address:
    """One of our users; the postmaster, who gets mail in any case, when there is none."""
    accounts = sorted(account.address for account in book.users.accounts.values()) if book.users else []
    return accounts[0] if accounts else Address("postmaster", settings.server.domains[0])


def _targets(settings: Settings, book: Book, account: Address) -> Iterator[tuple[str, Address]]:
    """An example of each kind of recipient that there is."""
    yield "local", account
    for alias in book.aliases.aliases.values() if book.aliases else ():
        name, _, domain = alias.key.partition("@")
        example = Address(name or "anybody", domain or settings.server.domains[0])
        if any(step.rule == "elsewhere" for step in book.steps(example)):
            yield "alias", example
            break
    for backup in settings.relay.domains[:1]:
        yield "backup", Address("somebody", backup)
    yield "foreign", Address("somebody", FAR)


def _rows(settings: Settings, account: Address, targets: Mapping[str, Address]) -> Iterator[Row]:
    for rehearsal in ports(settings, account):
        for client in _clients(settings, rehearsal, account):
            for tls in (True,) if rehearsal.implicit_tls else (False, True):
                for to, recipient in targets.items():
                    yield _row(rehearsal, client, tls, to, recipient)


def ports(settings: Settings, account: Address | None) -> list[Rehearsal]:
    """The kinds of port that mail can come in by. Only ``account`` can log in."""
    found = []
    if settings.smtp.listen:
        found.append(Rehearsal(settings, submission=False, account=account))
    if settings.submission.listen:
        found.append(Rehearsal(settings, submission=True, account=account))
    if settings.submission.listen_tls:
        found.append(Rehearsal(settings, submission=True, implicit_tls=True, account=account))
    return found


def _clients(settings: Settings, rehearsal: Rehearsal, account: Address) -> Iterator[Client]:
    networks = settings.relay.networks
    stranger, stranger6 = (_outside(addresses, networks) for addresses in STRANGERS)
    yield Client("stranger", stranger)
    if any(network.version == 6 for network in networks):
        yield Client("stranger", stranger6)
    for network in networks:
        yield Client(f"network {network}", _inside(network))
    yield Client(f"user {account}", stranger, ("accounts", "users"), password=True)
    if rehearsal.submission and not rehearsal.implicit_tls:
        yield Client(f"user {account}", LOOPBACK, ("accounts", "users"), password=True)


def _outside(addresses: Sequence[str], networks: Sequence[Network]) -> str:
    free = (one for one in addresses if not any(ip_address(one) in network for network in networks))
    return next(free, addresses[0])


def _inside(network: Network) -> str:
    """An address that a client can have."""
    return str(network[1] if network.num_addresses > 2 else network[0])


def _row(rehearsal: Rehearsal, client: Client, tls: bool, to: str, recipient: Address) -> Row:
    port = rehearsal.option
    login, answer = _play(rehearsal, client, tls, recipient)
    return Row(
        client.who,
        client.address,
        port,
        "yes" if tls else "no",
        login,
        to,
        str(recipient),
        answer,
        _decides(answer, to, client, login, port),
    )


def _play(rehearsal: Rehearsal, client: Client, tls: bool, recipient: Address) -> tuple[str, str]:
    """Whether the log-in was taken, and what became of the envelope."""
    call = rehearsal.call(client.address)

    def ask(line: str) -> str:
        return call.say(line.encode() + b"\r\n")[0]

    hello = f"EHLO client.{SENDER}"
    ask(hello)
    if tls and not rehearsal.implicit_tls:
        ask("STARTTLS")
        ask(hello)
    login, sender = "no", f"stranger@{SENDER}"
    if client.password:
        sender = str(rehearsal.account)
        answer = ask("AUTH PLAIN " + b64encode(f"\0{sender}\0password".encode()).decode())
        login = "yes" if answer.startswith("235") else answer
    answers = (ask(f"MAIL FROM:<{sender}>"), ask(f"RCPT TO:<{recipient}>"))
    call.finish()
    return login, next((answer for answer in answers if not answer.startswith("2")), answers[-1])


def _decides(answer: str, to: str, client: Client, login: str, port: Option) -> Option:
    if answer.startswith(TLS_FIRST):
        return "tls", "policy"
    if answer.startswith(LOGIN_FIRST):
        return port
    if not answer.startswith("2"):
        return _REFUSED[to]
    if to == "foreign":
        return client.trusted_by if login in ("yes", "no") else ("relay", "networks")
    return _TAKEN[to]


def missing(found: Sequence[Row]) -> Iterator[str]:
    """What the site does not have, so that the table has no row for it."""
    kinds = {row.to for row in found}
    if "alias" not in kinds:
        yield "No alias leads outside of our domains."
    if "backup" not in kinds:
        yield "We are backup for no domain."
