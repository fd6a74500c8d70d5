"""The table of all limits: what each is called, what it is here, what the peers have.

Its rows are counted by name (``ILimitCounts``) and shown by ``mailstack limits``. Those of ``[limits]`` have the key's
name; a test compares ``anchor`` with the comment in ``etc/mail.ini``.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from mailstack.config.settings import Settings

MAX_RECEIVED = 50  # hops, the contract's figure; Postfix's hopcount_limit is the same
FEW_INODES = 64  # that new mail leaves for folders of mailboxes, and for reports to senders
FREE_SPACE = 1.5  # times message_size, as Postfix's queue_minfree has to be


@frozen
class Limit:
    """A row. ``anchor`` is what we measure ourselves against; ``value`` is in ``unit``, and whole."""

    name: str
    unit: str
    anchor: str
    value: Callable[[Settings], float]
    fixed: bool = False  #: no option of its own


def _own(name: str, unit: str, anchor: str) -> Limit:
    """One with a key in [limits]."""
    return Limit(name, unit, anchor, lambda settings: float(getattr(settings.limits, name)))


LIMITS = (
    _own("message_size", "octets", "Postfix: 10 MB. Gmail: 25 MB."),
    _own("header_size", "octets", "Exchange: 256 KB. Exim: 1 MB. Postfix: 100 KB a field."),
    _own("recipients", "recipients", "Postfix: 1000. RFC 5321 asks for 100 at least."),
    _own("recipients_per_hour", "recipients", "mox: 1000 letters a day. Exchange Online, Gmail: 10000 a day."),
    _own("connections", "connections", "Dovecot: 1000. Postfix: 100."),
    _own("connections_per_client", "connections", "Postfix: 50."),
    _own("errors", "errors", "Postfix: 20."),
    _own("auth_failures_per_minute", "log-ins", "mox: 10."),
    _own("command_timeout", "seconds", "RFC 5321, Postfix and Exim: 5m."),
    _own("data_timeout", "seconds", "RFC 5321: 3m at least. Postfix and Exim: 5m."),
    _own("min_data_rate", "octets a second", "Postfix: 500."),
    _own("pop3_timeout", "seconds", "RFC 1939 asks for 10m at least. Dovecot: 10m."),
    Limit("received", "Received fields", "Postfix: 50.", lambda settings: MAX_RECEIVED, fixed=True),
    Limit(
        "free_space",
        "octets",
        "Postfix: 1.5 times the largest letter.",
        lambda settings: FREE_SPACE * settings.limits.message_size,
        fixed=True,
    ),
    Limit("greet_delay", "seconds", "Postfix: 6s, in postscreen.", lambda settings: settings.smtp.greet_delay),
    Limit("login_delay", "seconds", "Dovecot: none.", lambda settings: settings.pop3.login_delay),
)
