"""A letter to the postmaster: an account has sent as much as it may."""

from __future__ import annotations

import shlex
import textwrap
from email.header import Header
from email.utils import formatdate

from attrs import frozen

from mailstack.message.report import part
from mailstack.model.address import Address


@frozen
class Excess:
    """Which account has sent how much. Times are Unix times."""

    account: Address
    recipients: int
    since: float
    now: float
    clients: tuple[str, ...]  #: IP addresses that it has sent from, "" for a UNIX socket
    hostname: str
    postmaster: Address


def excess_notice(excess: Excess, id: str) -> bytes:
    """The letter, LF line ends. ``id`` is its queue id. 7-bit, but that its header has UTF-8 if the postmaster's
    address has: only then does it need a next hop with SMTPUTF8."""
    to, account = excess.postmaster, excess.account.unicode
    subject = f"{account} sends too much"
    fields = [
        ("Date", formatdate(excess.now)),
        ("From", f"Mail Delivery System <MAILER-DAEMON@{excess.hostname}>"),
        ("To", str(to) if to.isascii else to.unicode),
        ("Subject", subject if subject.isascii() else Header(subject, "utf-8").encode()),
        ("Message-ID", f"<{id}@{excess.hostname}>"),
        # RFC 3834 §5: no vacation notice may answer this.
        ("Auto-Submitted", "auto-generated"),
        ("MIME-Version", "1.0"),
    ]
    header = "".join(f"{name}: {value}\n" for name, value in fields).encode("utf-8")
    return header + part("text/plain", f"{_text(excess, account)}\n".encode(), "Notice", "; charset=utf-8")


def _text(excess: Excess, account: str) -> str:
    clients = "\n".join(f"  {client or 'a program on this machine (UNIX socket)'}" for client in excess.clients)
    happened = (
        f"The account {account} has sent mail to {excess.recipients} recipients since "
        f"{formatdate(excess.since)}. That is its limit for one hour ([limits] recipients_per_hour). More recipients "
        f"are refused for the time being, with 450 4.7.1; as old ones become older than an hour, new ones are taken."
    )
    act = (
        "Is that its owner, with a newsletter perhaps? Then nothing has to be done: the program tries again by itself, "
        "or raise the limit. If the owner knows nothing of it, somebody else has the password. Change it at once:"
    )
    waiting = (
        'Then look with "mailstack queue list" for what still waits in the queue, and remove what should not go out '
        'with "mailstack queue drop".'
    )
    closing = "There is at most one letter a day about an account; the log has more."
    return "\n\n".join(
        [
            _filled(happened),
            f"It sent from these addresses:\n{clients}",
            _filled(act),
            f"  mailstack user passwd {shlex.quote(account)}",
            _filled(waiting),
            _filled(closing),
        ]
    )


def _filled(text: str) -> str:
    return textwrap.fill(text, 76, break_long_words=False, break_on_hyphens=False)
