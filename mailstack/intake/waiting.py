"""ETRN and ATRN: a server that was away asks for its mail. RFC 1985, RFC 2645."""

from __future__ import annotations

from mailstack.config.settings import Route
from mailstack.intake.envelope import LOGIN_FIRST
from mailstack.intake.session import Session
from mailstack.model.reply import Reply
from mailstack.protocol import smtp_events as events

FETCHED = Route("fetch")
NO_FETCHING = Reply(502, "5.5.1", "No mail is fetched on this port")
NOT_YOUR_MAIL = Reply(450, "4.7.1", "Request refused: that mail is not for you to fetch")
NOT_NOW = Reply(451, "4.3.0", "Unable to process the ATRN request now")
NO_MAIL = Reply(453, "4.0.0", "You have no mail")
REVERSING = Reply(250, "2.0.0", "OK now reversing the connection")


def offers_etrn(session: Session) -> bool:
    """Where there can be mail that waits for somebody, and whoever asks may ask."""
    return bool(session.settings.relay.domains) and not (session.must_log_in or session.lacks_tls)


def offers_atrn(session: Session) -> bool:
    """RFC 2645 §4: also before the log-in, which it asks for."""
    return session.around.submission and bool(session.settings.relay.fetch) and not session.lacks_tls


async def on_etrn(session: Session, event: events.Etrn) -> Reply:
    """Anybody may ask: the mail goes where it would go anyway, only sooner."""
    if session.must_log_in:
        return LOGIN_FIRST
    node = f"{event.option}{event.node}"
    if event.option == "#":
        return Reply(458, "4.3.3", f"Unable to queue messages for node {node}: queues have no names here")
    if event.node not in session.settings.relay.domains:
        return session.error(Reply(459, "4.7.1", f"Node {node} not allowed: we keep no mail for that domain"))
    if (event.node, FETCHED) in session.settings.routes:
        return Reply(458, "4.4.1", f"Unable to queue messages for node {node}: they wait to be fetched by ATRN")
    try:
        count = await session.around.waiting.start(event.node, event.option == "@")
    except OSError as error:
        session.record.trouble(session.id, error)
        return Reply(458, "4.3.0", f"Unable to queue messages for node {node}: try again later")
    return session.record.asked("ETRN", _started(node, count))


def _started(node: str, count: int | None) -> Reply:
    if count is None:
        return Reply(250, "2.0.0", f"OK, queuing for node {node} was started less than a minute ago")
    if not count:
        return Reply(251, "2.0.0", f"OK, no messages waiting for node {node}")
    return Reply(253, "2.0.0", f"OK, {count} pending messages for node {node} started")


async def on_atrn(session: Session, event: events.Atrn) -> Reply:
    if not offers_atrn(session):
        return NO_FETCHING
    user = session.visitor.user
    if user is None:
        return LOGIN_FIRST
    theirs = [domain for domain, account in session.settings.relay.fetch if account.key == user.key]
    domains = list(dict.fromkeys(event.domains or theirs))
    if not domains or not set(domains) <= set(theirs):
        return session.record.denied("ATRN", NOT_YOUR_MAIL)
    try:
        session.turn = await session.around.waiting.fetch(domains)
    except OSError as error:
        session.record.trouble(session.id, error)
        return NOT_NOW
    return session.record.asked("ATRN", NO_MAIL if session.turn is None else REVERSING)
