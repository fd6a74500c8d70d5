"""Greetings and small talk: the first line, EHLO and what it offers, RSET, NOOP, QUIT, and commands that are none."""

from __future__ import annotations

from collections.abc import Callable

from mailstack.intake.authentication import mechanisms, offers_login, offers_tls
from mailstack.intake.own_mail import offers_xdrop
from mailstack.intake.release import bounds, offers_future_release
from mailstack.intake.session import Session
from mailstack.intake.waiting import offers_atrn, offers_etrn
from mailstack.model.reply import Reply
from mailstack.protocol import smtp_events as events
from mailstack.protocol.smtp_server import EARLY

OK = Reply(250, "2.0.0", "Ok")
EVERYWHERE = None

#: What EHLO offers, and where. What stands in ``{}`` is filled in.
EXTENSIONS: tuple[tuple[str, Callable[[Session], bool] | None], ...] = (
    ("PIPELINING", EVERYWHERE),
    ("SIZE {size}", EVERYWHERE),
    ("8BITMIME", EVERYWHERE),
    ("SMTPUTF8", EVERYWHERE),
    ("DSN", EVERYWHERE),
    ("LIMITS RCPTMAX={recipients}", EVERYWHERE),
    ("FUTURERELEASE {release}", offers_future_release),
    ("REQUIRETLS", lambda session: bool(session.visitor.tls)),
    ("CHUNKING", EVERYWHERE),
    ("ENHANCEDSTATUSCODES", EVERYWHERE),
    ("HELP", EVERYWHERE),
    ("ETRN", offers_etrn),
    ("ATRN", offers_atrn),
    ("EXPN", lambda session: session.trusted),
    ("SEND", lambda session: session.rfc821),
    ("SOML", lambda session: session.rfc821),
    ("SAML", lambda session: session.rfc821),
    ("STARTTLS", offers_tls),
    ("AUTH {mechanisms}", offers_login),
    ("XDROP", offers_xdrop),
    ("XCLIENT NAME ADDR HELO{login}", lambda session: session.may_name_client),
)


def greeting(session: Session) -> Reply:
    return Reply(220, "", f"{session.settings.server.hostname} ESMTP mailstack")


def on_hello(session: Session, event: events.Hello) -> Reply:
    session.forget()
    session.visitor.greeted(event)
    session.around.greeted(session.visitor.address, session.visitor.hello.name)
    words = [f"{session.settings.server.hostname} greets {event.name}"]
    if event.extended:
        limits = session.settings.limits
        facts = {
            "size": limits.message_size,
            "recipients": limits.recipients,
            "release": bounds(session) if offers_future_release(session) else "",
            "mechanisms": " ".join(mechanisms(session)) if offers_login(session) else "",
            "login": " LOGIN" if session.around.submission else "",
        }
        offers = [keyword for keyword, offered in EXTENSIONS if offered is EVERYWHERE or offered(session)]
        words += [keyword.format(**facts) if "{" in keyword else keyword for keyword in offers]
    return Reply(250, "", "\n".join(words))


def on_reset(session: Session, event: events.Reset) -> Reply:
    session.forget()
    return OK


def on_noop(session: Session, event: events.Noop) -> Reply:
    return OK


def on_quit(session: Session, event: events.Quit) -> Reply:
    return Reply(221, "2.0.0", f"{session.settings.server.hostname} closing, good bye")


def on_rejected(session: Session, event: events.Rejected) -> Reply:
    return session.error(event.reply)


def on_hopeless(session: Session, event: events.Hopeless) -> Reply:
    if event is EARLY:
        session.struck("greet_delay")
    session.record.hopeless(event.what)
    return event.reply
