"""What HELP says. RFC 5321 §4.1.1.8."""

from __future__ import annotations

from mailstack.intake.session import Session
from mailstack.model.reply import Reply
from mailstack.protocol import smtp_events as events

_SYNTAX = {
    "HELO": "HELO hostname - greet, without extensions",
    "EHLO": "EHLO hostname - greet, and hear which extensions there are",
    "MAIL": "MAIL FROM:<sender> [SIZE=octets] [BODY=8BITMIME] [SMTPUTF8] [REQUIRETLS] [RET=FULL|HDRS] [ENVID=xtext]"
    " - begin a message; <> is the null sender",
    "RCPT": "RCPT TO:<recipient> [NOTIFY=NEVER|SUCCESS,FAILURE,DELAY] [ORCPT=type;xtext] - name a recipient; once for"
    " each",
    "DATA": "DATA - send the message; a line with a single dot ends it",
    "BDAT": "BDAT octets [LAST] - send the message, or a part of it, as so many octets",
    "RSET": "RSET - forget the message begun",
    "NOOP": "NOOP - do nothing, successfully",
    "QUIT": "QUIT - say good bye",
    "HELP": "HELP [command] - this",
    "VRFY": "VRFY address - is there such a user? Strangers are not told",
    "EXPN": "EXPN list - who is on the list? Strangers are not told",
    "STARTTLS": "STARTTLS - go on encrypted; then greet again",
    "AUTH": "AUTH mechanism [initial-response] - log in, on the submission ports",
}
_FOR_PROXIES = {"XCLIENT": "XCLIENT attribute=value ... - say who the client is, once; then greet again"}


def on_help(session: Session, event: events.Help) -> Reply:
    return help_on(event.topic, session.may_name_client)


def help_on(topic: str, proxy: bool = False) -> Reply:
    """The answer to HELP with an argument in capitals, "" for none; ``proxy``: XCLIENT is on offer."""
    known = {**_SYNTAX, **_FOR_PROXIES} if proxy else _SYNTAX
    if topic in known:
        return Reply(214, "2.0.0", known[topic])
    if topic:
        return Reply(504, "5.5.4", f"No help on that; commands: {' '.join(known)}")
    return Reply(214, "2.0.0", f"Commands: {' '.join(known)}\nHELP command says more of each")
