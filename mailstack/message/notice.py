"""A letter to the postmaster: an account has sent as much as it may."""

from __future__ import annotations

import shlex
from email.utils import formatdate

from attrs import frozen

from mailstack.message.mime import encoded_subject, part
from mailstack.message.moment import moment
from mailstack.message.report_fields import folded
from mailstack.message.report_text import DIVIDER
from mailstack.message.voice import Voice, Wording
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


def excess_notice(excess: Excess, id: str, voice: Voice) -> bytes:
    """The letter, LF line ends. ``id`` is its queue id. 7-bit, but that its header has UTF-8 if the postmaster's
    address has: only then does it need a next hop with SMTPUTF8."""
    to, wordings = excess.postmaster, voice.texts("excess")
    first = wordings[0]
    fields = [
        ("Date", formatdate(excess.now)),
        ("From", f"Mail Delivery System <MAILER-DAEMON@{excess.hostname}>"),
        ("To", str(to) if to.isascii else to.unicode),
        ("Subject", encoded_subject(first.templates["excess"].subject_with(_values(excess, voice, first)))),
        ("Message-ID", f"<{id}@{excess.hostname}>"),
        # RFC 3834 §5: no vacation notice may answer this.
        ("Auto-Submitted", "auto-generated"),
        ("MIME-Version", "1.0"),
    ]
    texts = [each.templates["excess"].body_with(_values(excess, voice, each)) for each in wordings]
    body = f"\n\n{DIVIDER}\n\n".join(texts) + "\n"
    content = part("text/plain", body.encode("utf-8"), "Notice", "; charset=utf-8", voice.languages("excess"))
    return (folded(fields) + "\n").encode("utf-8") + content


def _values(excess: Excess, voice: Voice, wording: Wording) -> dict[str, str]:
    local = wording.dictionary.word("sentences", "a program on this machine (UNIX socket)")
    account = excess.account.unicode
    return {
        "account": account,
        "recipients": str(excess.recipients),
        "since": moment(excess.since, voice.zone(excess.since), wording.language),
        "clients": "\n".join(f"  {client or local}" for client in excess.clients),
        "command": f"mailstack user passwd {shlex.quote(account)}",
        "hostname": excess.hostname,
        "postmaster": excess.postmaster.unicode,
    }
