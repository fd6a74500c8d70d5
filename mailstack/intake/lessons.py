"""One lesson for each command: the table behind HELP. A test says that no verb of the parser is without one."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from mailstack.intake.obsolete import GONE, knows
from mailstack.intake.session import Session

#: "" or a sentence.
Say = Callable[[Session], str]


def _never(session: Session) -> str:
    return ""


@frozen
class Lesson:
    """``elsewhere`` says why this port and session do not have the command, and where it is; ``first`` what must come
    before it although the order of commands allows it. Both "" for no reason. ``answers`` are codes and a few words."""

    syntax: str
    meaning: str
    example: str
    answers: tuple[str, ...]
    elsewhere: Say = _never
    first: Say = _never


def _no_login_yet(session: Session) -> str:
    return "Log in first, by AUTH" if session.must_log_in else ""


def _no_backup(session: Session) -> str:
    return "" if session.settings.relay.domains else "We keep no mail for other servers"


def _no_fetching(session: Session) -> str:
    if not session.settings.relay.fetch:
        return "Nobody may fetch mail here"
    return _no_users(session)


def _no_users(session: Session) -> str:
    return "" if session.around.submission else "Not on this port: log in on a submission port, usually 587 or 465"


def _no_tls(session: Session) -> str:
    if session.visitor.tls:
        return "TLS is up already: all that is said is encrypted"
    return "" if session.around.tls else "TLS is not to be had on this port"


def _no_auth(session: Session) -> str:
    if session.around.submission:
        return ""
    return "Not on this port, which takes mail from other servers: log in on a submission port, usually 587 or 465"


def _not_before_auth(session: Session) -> str:
    if session.visitor.user is not None:
        return "You are logged in already"
    return "" if session.visitor.confidential else "Encrypt first, by STARTTLS"


def _obsolete(verb: str, meaning: str) -> Lesson:
    return Lesson(
        f"{verb} FROM:<sender>",
        meaning,
        f"{verb} FROM:<friend@example.com>",
        ("250 go on with RCPT", "502 not for you", "503 not now", "and what MAIL answers"),
        elsewhere=lambda session: "" if session.rfc821 else GONE[verb].text,
        first=_no_login_yet,
    )


LESSONS: dict[str, Lesson] = {
    "HELO": Lesson(
        "HELO hostname",
        "Greets without asking for extensions; EHLO is better",
        "HELO client.example.com",
        ("250 welcome", "501 no name"),
    ),
    "EHLO": Lesson(
        "EHLO hostname",
        "Greets, and hears which extensions there are; forgets a message begun",
        "EHLO client.example.com",
        ("250 welcome, with the extensions", "501 no name"),
    ),
    "MAIL": Lesson(
        "MAIL FROM:<sender> [SIZE=octets] [BODY=8BITMIME] [SMTPUTF8] [REQUIRETLS] [RET=FULL|HDRS] [ENVID=xtext]"
        " [HOLDFOR=seconds] [HOLDUNTIL=date-time]",
        "Begins a message; <> is the null sender, of bounces; EHLO lists which parameters there are now",
        "MAIL FROM:<friend@example.com> SIZE=2000",
        (
            "250 go on with RCPT",
            "501 not an address",
            "503 not now",
            "530 log in first",
            "550 an address beyond ASCII without SMTPUTF8",
            "552 too big",
            "553 not your address",
            "555 unknown parameter",
        ),
        first=_no_login_yet,
    ),
    "RCPT": Lesson(
        "RCPT TO:<recipient> [NOTIFY=NEVER|SUCCESS,FAILURE,DELAY] [ORCPT=type;xtext]",
        "Names a recipient; once for each",
        "RCPT TO:<postmaster>",
        (
            "250 taken",
            "450 not now",
            "452 too many recipients",
            "501 not an address",
            "503 no MAIL yet",
            "550 no such user, or relaying denied",
            "553 an address beyond ASCII without SMTPUTF8",
            "555 unknown parameter",
        ),
    ),
    "DATA": Lesson(
        "DATA",
        "Announces the message, which follows after 354; a line with a single dot ends it",
        "DATA",
        (
            "354 send it",
            "then 250 it is ours",
            "452 disk full",
            "503 no recipient yet",
            "550 bare CR or LF",
            "552 too big",
            "554 it goes in circles",
        ),
    ),
    "BDAT": Lesson(
        "BDAT octets [LAST]",
        "Sends the message, or a part of it, as so many octets, which follow at once; their number alone ends them",
        "BDAT 86 LAST",
        (
            "250 taken, after LAST it is ours",
            "452 disk full",
            "501 no number",
            "503 no recipient yet",
            "550 bare CR or LF",
            "552 too big",
            "554 it goes in circles",
        ),
    ),
    "RSET": Lesson("RSET", "Forgets the message begun", "RSET", ("250 forgotten",)),
    "NOOP": Lesson("NOOP [anything]", "Does nothing, successfully", "NOOP", ("250 done",)),
    "QUIT": Lesson("QUIT", "Ends the session", "QUIT", ("221 good bye",)),
    "HELP": Lesson(
        "HELP [command]",
        "Explains a command, and says what may come next",
        "HELP MAIL",
        ("214 the explanation", "504 there is no such command"),
    ),
    "VRFY": Lesson(
        "VRFY address or name",
        "Asks which mailbox that is; only our users and networks are told",
        "VRFY postmaster",
        (
            "250 the mailbox",
            "251 it is elsewhere, mail is sent on",
            "252 not told, or not known here",
            "550 no such user",
            "553 several have the name",
        ),
    ),
    "EXPN": Lesson(
        "EXPN list",
        "Asks who is on a list; only our users and networks are told",
        "EXPN sales",
        ("250 the members, one a line", "252 not told", "550 no such list", "553 several have the name"),
    ),
    "ETRN": Lesson(
        "ETRN [@]domain",
        "Starts the queue for a domain whose mail we keep while its server is away; @ takes in its sub-domains",
        "ETRN backup.example.com",
        (
            "250 done a moment ago",
            "251 nothing waits",
            "253 so many letters are sent",
            "458 not possible now",
            "459 not a domain of ours to keep",
            "530 log in first",
        ),
        elsewhere=_no_backup,
        first=_no_login_yet,
    ),
    "ATRN": Lesson(
        "ATRN [domain[,domain]]",
        "Turns the roles: the client greets, and is sent the mail that waits for its domains",
        "ATRN backup.example.com",
        (
            "250 now greet us",
            "450 not yours to fetch",
            "451 not possible now",
            "453 no mail",
            "502 not on this port",
            "530 log in first",
        ),
        elsewhere=_no_fetching,
        first=_no_login_yet,
    ),
    "STARTTLS": Lesson(
        "STARTTLS",
        "Goes on encrypted; then greet again",
        "STARTTLS",
        ("220 begin the TLS handshake", "503 not now"),
        elsewhere=_no_tls,
    ),
    "AUTH": Lesson(
        "AUTH mechanism [initial-response]",
        "Logs in; EHLO lists the mechanisms",
        "AUTH PLAIN",
        (
            "235 logged in",
            "334 go on",
            "454 too many failures, wait",
            "503 not now",
            "504 unknown mechanism",
            "535 wrong name or password",
            "538 encrypt first",
        ),
        elsewhere=_no_auth,
        first=_not_before_auth,
    ),
    "XCLIENT": Lesson(
        "XCLIENT attribute=value ...",
        "Says who the client is for whom a proxy speaks, once; then greet again",
        "XCLIENT NAME=client.example.com ADDR=192.0.2.7",
        ("220 we greet that client", "501 an attribute is wrong", "503 not now", "550 not for you"),
        elsewhere=lambda session: "" if session.may_name_client else "Only for proxies that are known here",
    ),
    "XDROP": Lesson(
        "XDROP [queue-id]",
        "Takes back a letter that you have sent, for those who have not got it yet; without an id it lists what waits",
        "XDROP 06A4X5N9W3QK",
        (
            "250 dropped, or the list",
            "451 not possible now",
            "501 that is no queue id",
            "502 not on this port",
            "530 log in first",
            "550 none such",
        ),
        elsewhere=_no_users,
        first=_no_login_yet,
    ),
    "SEND": _obsolete("SEND", "Shows a message on the recipient's terminal; nobody has one, so RCPT is answered 450"),
    "SOML": _obsolete("SOML", "Shows a message on a terminal or mails it: here it is mailed, as after MAIL"),
    "SAML": _obsolete("SAML", "Shows a message on a terminal and mails it: here it is mailed, as after MAIL"),
    "TURN": Lesson(
        "TURN",
        "Turns the roles, as ATRN does without a domain",
        "TURN",
        ("250 now greet us", "450 not yours", "453 no mail", "502 not for you"),
        elsewhere=lambda session: "" if knows(session, "TURN") else GONE["TURN"].text,
    ),
}
