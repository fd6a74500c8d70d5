"""One SMTP command line to one event: syntax only, no state. RFC 5321 §4.1.1."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from mailstack.model.address import DOMAIN, visible
from mailstack.model.reply import Reply
from mailstack.protocol import esmtp_parameters, xclient
from mailstack.protocol import smtp_events as events
from mailstack.protocol.esmtp_parameters import BadParameter
from mailstack.protocol.hello_name import hello_name
from mailstack.protocol.paths import BadPath, SourceRoute, argument, mailbox, recipient

SHORT = 100  #: octets of a line that is remembered
FREQUENT = {b"DATA", b"EHLO", b"HELO", b"MAIL", b"QUIT", b"RCPT", b"RSET"}  #: none of them holds a secret

_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_QUEUE_ID = re.compile(r"[0-9A-Za-z]{1,40}")

#: Commands that may carry UTF-8: those with addresses. RFC 6531 §3.3, §3.7.4.2.
UTF8_VERBS = {"MAIL", "SEND", "SOML", "SAML", "RCPT", "VRFY", "EXPN"}

#: Commands that may carry any charset; its octets are read as Latin-1, to be replaced.
ANY_CHARSET_VERBS = {"HELO", "EHLO"}

#: What browsers, proxies and scanners say. Postfix: smtpd_forbidden_commands (CONNECT GET POST, and header lines).
FORBIDDEN = {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PRI", "PROPFIND", "PUT", "TRACE"}
_HEADER_LINE = re.compile(r"[!-9;-~]+:")

PROXY_HEADER = (
    "PROXY protocol on a port that is not haproxy: "
    "(write haproxy: before the endpoint in mail.ini, or let the proxy send no PROXY header)"
)

UNKNOWN = Reply(500, "5.5.1", "Unknown command; HELP lists the known ones")
NOT_HTTP = Reply(421, "4.7.0", "This is SMTP, not HTTP; good bye")
NO_COMMAND = Reply(421, "4.7.0", "That is a line of a header, no command; good bye")
NOT_PROXIED = Reply(421, "4.7.0", "This port does not take the PROXY protocol; good bye")
NO_DOMAIN = "That is not the full name of a domain"
NOT_ASCII = Reply(500, "5.5.2", "Commands are printable ASCII")
NOT_UTF8 = Reply(500, "5.5.2", "That is not UTF-8, or has invisible characters")
#: RFC 6531 §3.5 has a code for each; its words for the status are in §4.
SENDER_NOT_ASCII = Reply(550, "5.6.7", "Non-ASCII addresses not permitted without SMTPUTF8 in MAIL")
RECIPIENT_NOT_ASCII = Reply(553, "5.6.7", SENDER_NOT_ASCII.text)


def parse(line: bytes) -> events.Event:
    """The event that a line (without its end) means; ``Rejected`` with the answer it earns when it means none."""
    return _remembered(line) if len(line) <= SHORT and line[:4].upper() in FREQUENT else _parse(line)


def _parse(line: bytes) -> events.Event:
    if _CONTROL.search(line):
        return events.Rejected(NOT_ASCII)
    if not line.isascii():
        return _parse_8bit(line)
    return _parse_text(line.decode("ascii"))


#: Many clients say the same, and each says the same again.
_remembered = lru_cache(maxsize=1024)(_parse)


def _parse_8bit(line: bytes) -> events.Event:
    verb, _, _ = line.partition(b" ")
    word = verb.decode("ascii", "replace").upper()
    if word in ANY_CHARSET_VERBS:
        return _parse_text(line.decode("latin-1"))
    if word not in UTF8_VERBS:
        return events.Rejected(NOT_ASCII)
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        return events.Rejected(NOT_UTF8)
    return _parse_text(text) if visible(text) else events.Rejected(NOT_UTF8)


def _parse_text(text: str) -> events.Event:
    verb, _, rest = text.partition(" ")
    parser = PARSERS.get(verb.upper())
    return parser(rest.strip(" ")) if parser else _no_command(verb)


def _no_command(verb: str) -> events.Event:
    """A slip of the pen, or somebody who does not mean us: a page of the Web can make a browser send its form to any
    port, and message text is no list of commands."""
    if verb.upper() in FORBIDDEN:
        return events.Hopeless(f"HTTP request ({verb.upper()})", NOT_HTTP)
    if _HEADER_LINE.match(verb):
        return events.Hopeless("header line instead of a command", NO_COMMAND)
    if verb == "PROXY":
        return events.Hopeless(PROXY_HEADER, NOT_PROXIED)
    return events.Rejected(UNKNOWN)


def _bad(text: str) -> events.Rejected:
    return events.Rejected(Reply(501, "5.5.4", text))


def _hello(extended: bool) -> Callable[[str], events.Event]:
    def parse_hello(rest: str) -> events.Event:
        try:
            return events.Hello(hello_name(rest.encode("latin-1")), extended)
        except ValueError:
            return _bad(f"Syntax: {'EHLO' if extended else 'HELO'} hostname")

    return parse_hello


def _mail(rest: str) -> events.Mail | events.Rejected:
    try:
        parts = argument(rest, "FROM")
        sender = mailbox(parts.path) if parts.path else None
    except BadPath as error:
        return _bad_path(error, "5.1.7")
    # Any: each value has the type of its field; a test compares the tables with the events.
    values: dict[str, Any] = {}
    if parts.parameters:
        try:
            values = esmtp_parameters.values(parts.parameters, esmtp_parameters.MAIL)
        except BadParameter as error:
            return events.Rejected(error.reply)
    if not rest.isascii() and "smtputf8" not in values:
        return events.Rejected(SENDER_NOT_ASCII)
    return events.Mail(sender, **values)


def _rcpt(rest: str) -> events.Event:
    try:
        parts = argument(rest, "TO")
        address = recipient(parts.path)
    except BadPath as error:
        return _bad_path(error, "5.1.3")
    values: dict[str, Any] = {}
    if parts.parameters:
        try:
            values = esmtp_parameters.values(parts.parameters, esmtp_parameters.RCPT)
        except BadParameter as error:
            return events.Rejected(error.reply)
    return events.Rcpt(address, utf8=not rest.isascii(), **values)


def _bad_path(error: BadPath, status: str) -> events.Rejected:
    if isinstance(error, SourceRoute):
        return events.Rejected(Reply(550, "5.7.1", f"Relaying denied: {error}"))
    return events.Rejected(Reply(501, status, str(error)))


def _alone(event: events.Event) -> Callable[[str], events.Event]:
    """A command without argument."""
    return lambda rest: event if not rest else _bad("This command has no argument")


def _bdat(rest: str) -> events.Event:
    """RFC 3030 §2: ``BDAT SP chunk-size [SP "LAST"]``, 20 digits at most."""
    found = re.fullmatch(r"([0-9]{1,20})( +LAST)?", rest, re.IGNORECASE)
    return events.Bdat(int(found[1]), found[2] is not None) if found else _bad("Syntax: BDAT octets [LAST]")


def _auth(rest: str) -> events.Event:
    mechanism, _, initial = rest.partition(" ")
    if not mechanism or " " in initial.strip():
        return _bad("Syntax: AUTH mechanism [initial-response]")
    return events.Auth(mechanism.upper(), initial.strip() or None)


def _verify(verb: str) -> Callable[[str], events.Event]:
    def parse_question(rest: str) -> events.Event:
        words, space, last = rest.rpartition(" ")
        smtputf8 = bool(space) and last.upper() == "SMTPUTF8"
        name = words.rstrip() if smtputf8 else rest
        if not name:
            return _bad(f"Syntax: {verb} address")
        if not name.isascii() and not smtputf8:
            return events.Rejected(RECIPIENT_NOT_ASCII)
        return events.Verify(verb, name, smtputf8)

    return parse_question


def _etrn(rest: str) -> events.Event:
    """RFC 1985 §5: a fully qualified domain name; "#" stands before the name of a queue, which has any form."""
    if not rest:
        return events.Rejected(Reply(500, "5.5.4", "Syntax: ETRN [@]domain"))
    option = rest[0] if rest[0] in "@#" else ""
    node = rest[len(option) :]
    if option == "#":
        return events.Etrn(option, node) if node else _bad("Syntax: ETRN #queue")
    if not _is_full(node):
        return _bad(NO_DOMAIN)
    return events.Etrn(option, node.rstrip(".").lower())


def _is_full(name: str) -> bool:
    return DOMAIN.match(name) is not None and "." in name.rstrip(".")


def _atrn(rest: str) -> events.Event:
    """RFC 2645 §5.2.1: ``ATRN [SP domain *("," domain)]``."""
    names = rest.split(",") if rest else []
    if not all(map(_is_full, names)):
        return _bad(NO_DOMAIN)
    return events.Atrn(tuple(name.rstrip(".").lower() for name in names))


def _xdrop(rest: str) -> events.Event:
    """Our own, and private (RFC 5321 §4.1.5): ``XDROP [SP queue-id]``."""
    if rest and not _QUEUE_ID.fullmatch(rest):
        return _bad("Syntax: XDROP [queue-id]")
    return events.TakeBack(rest.upper())


def _obsolete(verb: str) -> Callable[[str], events.Event]:
    """RFC 821 §4.1.1: the three are written like MAIL."""
    return lambda rest: events.Obsolete(verb, _mail(rest))


def _turn(rest: str) -> events.Event:
    return events.Obsolete("TURN", _bad("This command has no argument") if rest else events.Atrn())


PARSERS: dict[str, Callable[[str], events.Event]] = {
    "HELO": _hello(extended=False),
    "EHLO": _hello(extended=True),
    "MAIL": _mail,
    "RCPT": _rcpt,
    "DATA": _alone(events.Data()),
    "BDAT": _bdat,
    "RSET": _alone(events.Reset()),
    "NOOP": lambda rest: events.Noop(),  # RFC 5321 §4.1.1.9: a string may follow, and is ignored
    "QUIT": _alone(events.Quit()),
    "HELP": lambda rest: events.Help(rest.upper()),
    "VRFY": _verify("VRFY"),
    "EXPN": _verify("EXPN"),
    "ETRN": _etrn,
    "ATRN": _atrn,
    "STARTTLS": _alone(events.StartTls()),
    "AUTH": _auth,
    "XCLIENT": xclient.parse,
    "XDROP": _xdrop,
    "SEND": _obsolete("SEND"),
    "SOML": _obsolete("SOML"),
    "SAML": _obsolete("SAML"),
    "TURN": _turn,
}
