"""Letters to the postmaster: an account has sent as much as it may; something in the queue is damaged."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from email.utils import formatdate

from attrs import frozen

from mailstack.message.mime import encoded_subject, part
from mailstack.message.moment import moment
from mailstack.message.one_line import one_line
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


@frozen
class Damage:
    """What is wrong in the queue, by queue id or by what else has a name."""

    faults: Mapping[str, str]
    now: float  #: Unix time
    hostname: str
    postmaster: Address


MOST_NAMED = 50  #: pieces of damage that a notice names
MOST_SHOWN = 200  #: characters of a name, and of what is wrong


def excess_notice(excess: Excess, id: str, voice: Voice) -> bytes:
    """The letter, LF line ends. ``id`` is its queue id. 7-bit, but that its header has UTF-8 if the postmaster's
    address has: only then does it need a next hop with SMTPUTF8."""
    about = (excess.now, excess.hostname, excess.postmaster)
    return _notice("excess", id, voice, *about, lambda wording: _values(excess, voice, wording))


def damage_notice(damage: Damage, id: str, voice: Voice) -> bytes:
    """The same of damage."""
    lines = [f"  {_shown(name)}: {_shown(wrong)}" for name, wrong in list(damage.faults.items())[:MOST_NAMED]]
    more = len(damage.faults) - len(lines)
    values = {
        "number": str(len(damage.faults)),
        "letters": "\n".join(lines + ([f"  ... (+{more})"] if more else [])),
        "hostname": damage.hostname,
        "postmaster": damage.postmaster.unicode,
    }
    return _notice("damage", id, voice, damage.now, damage.hostname, damage.postmaster, lambda _: values)


def _shown(text: str) -> str:
    """Names of files, and what SQLite says of nonsense, may be anything."""
    return one_line(text.encode("utf-8", "replace").decode("utf-8"), MOST_SHOWN)


def _notice(
    name: str,
    id: str,
    voice: Voice,
    now: float,
    hostname: str,
    to: Address,
    values: Callable[[Wording], dict[str, str]],
) -> bytes:
    wordings = voice.texts(name)
    first = wordings[0]
    fields = [
        ("Date", formatdate(now)),
        ("From", f"Mail Delivery System <MAILER-DAEMON@{hostname}>"),
        ("To", str(to) if to.isascii else to.unicode),
        ("Subject", encoded_subject(first.templates[name].subject_with(values(first)))),
        ("Message-ID", f"<{id}@{hostname}>"),
        # RFC 3834 §5: no vacation notice may answer this.
        ("Auto-Submitted", "auto-generated"),
        ("MIME-Version", "1.0"),
    ]
    texts = [each.templates[name].body_with(values(each)) for each in wordings]
    body = f"\n\n{DIVIDER}\n\n".join(texts) + "\n"
    content = part("text/plain", body.encode("utf-8"), "Notice", "; charset=utf-8", voice.languages(name))
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
