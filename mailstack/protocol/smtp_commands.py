"""One SMTP command line to one event: syntax only, no state. RFC 5321 §4.1.1."""

from __future__ import annotations

import re
from collections.abc import Callable

from mailstack.model.address import Address
from mailstack.model.reply import Reply
from mailstack.protocol import smtp_events as events
from mailstack.protocol import xclient
from mailstack.protocol.paths import Argument, BadPath, SourceRoute, argument, mailbox, recipient

_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_HELO_NAME = re.compile(r"[A-Za-z0-9_.:\[\]-]{1,255}")
_BODY_TYPES = {"7BIT", "8BITMIME"}

UNKNOWN = Reply(500, "5.5.1", "Unknown command; HELP lists the known ones")
NOT_ASCII = Reply(500, "5.5.2", "Commands are printable ASCII")


def parse(line: bytes) -> events.Event:
    """The event that a line (without its end) means; ``Rejected`` with the answer it earns when it means none."""
    if _CONTROL.search(line) or not line.isascii():
        return events.Rejected(NOT_ASCII)
    verb, _, rest = line.decode("ascii").partition(" ")
    parser = PARSERS.get(verb.upper())
    if parser is None:
        return events.Rejected(UNKNOWN)
    return parser(rest.strip())


def _bad(text: str) -> events.Rejected:
    return events.Rejected(Reply(501, "5.5.4", text))


def _hello(extended: bool) -> Callable[[str], events.Event]:
    def parse_hello(rest: str) -> events.Event:
        if not _HELO_NAME.fullmatch(rest):
            return _bad(f"Syntax: {'EHLO' if extended else 'HELO'} hostname")
        return events.Hello(rest, extended)

    return parse_hello


def _mail(rest: str) -> events.Event:
    try:
        parts = argument(rest, "FROM")
        sender = mailbox(parts.path) if parts.path else None
    except BadPath as error:
        return _bad_path(error, "5.1.7")
    return _mail_parameters(sender, parts)


def _mail_parameters(sender: Address | None, parts: Argument) -> events.Event:
    size, body = 0, "7BIT"
    for key, value in parts.parameters:
        if key == "SIZE" and re.fullmatch(r"[0-9]{1,20}", value):
            size = int(value)
        elif key == "BODY" and value.upper() in _BODY_TYPES:
            body = value.upper()
        elif key == "AUTH" and value:
            pass  # RFC 4954 §5: whom an upstream server vouches for; we trust nobody's word for it.
        else:
            return _unsupported(key)
    return events.Mail(sender, size, body)


def _rcpt(rest: str) -> events.Event:
    try:
        parts = argument(rest, "TO")
        address = recipient(parts.path)
    except BadPath as error:
        return _bad_path(error, "5.1.3")
    for key, _ in parts.parameters:
        return _unsupported(key)
    return events.Rcpt(address)


def _unsupported(key: str) -> events.Rejected:
    return events.Rejected(Reply(555, "5.5.4", f"Parameter {key[:40]} is not known, or its value is wrong"))


def _bad_path(error: BadPath, status: str) -> events.Rejected:
    if isinstance(error, SourceRoute):
        return events.Rejected(Reply(550, "5.7.1", f"Relaying denied: {error}"))
    return events.Rejected(Reply(501, status, str(error)))


def _alone(event: events.Event) -> Callable[[str], events.Event]:
    """A command without argument."""
    return lambda rest: event if not rest else _bad("This command has no argument")


def _auth(rest: str) -> events.Event:
    mechanism, _, initial = rest.partition(" ")
    if not mechanism or " " in initial.strip():
        return _bad("Syntax: AUTH mechanism [initial-response]")
    return events.Auth(mechanism.upper(), initial.strip() or None)


def _verify(verb: str) -> Callable[[str], events.Event]:
    return lambda rest: events.Verify(verb, rest) if rest else _bad(f"Syntax: {verb} address")


def _obsolete(rest: str) -> events.Event:
    return events.Rejected(Reply(502, "5.5.1", "Obsolete since RFC 5321, not implemented; use MAIL"))


PARSERS: dict[str, Callable[[str], events.Event]] = {
    "HELO": _hello(extended=False),
    "EHLO": _hello(extended=True),
    "MAIL": _mail,
    "RCPT": _rcpt,
    "DATA": _alone(events.Data()),
    "RSET": _alone(events.Reset()),
    "NOOP": lambda rest: events.Noop(),  # RFC 5321 §4.1.1.9: a string may follow, and is ignored
    "QUIT": _alone(events.Quit()),
    "HELP": lambda rest: events.Help(rest.upper()),
    "VRFY": _verify("VRFY"),
    "EXPN": _verify("EXPN"),
    "STARTTLS": _alone(events.StartTls()),
    "AUTH": _auth,
    "XCLIENT": xclient.parse,
    "SEND": _obsolete,
    "SOML": _obsolete,
    "SAML": _obsolete,
    "TURN": _obsolete,
}
