"""ETRN: a server that was away asks for its mail. RFC 1985."""

from __future__ import annotations

from mailstack.intake.envelope import LOGIN_FIRST
from mailstack.intake.session import Session
from mailstack.model.reply import Reply
from mailstack.protocol import smtp_events as events


def offers_etrn(session: Session) -> bool:
    """Where there can be mail that waits for somebody, and whoever asks may ask."""
    return bool(session.settings.relay.domains) and not (session.must_log_in or session.lacks_tls)


async def on_etrn(session: Session, event: events.Etrn) -> Reply:
    """Anybody may ask: the mail goes where it would go anyway, only sooner."""
    if session.must_log_in:
        return LOGIN_FIRST
    node = f"{event.option}{event.node}"
    if event.option == "#":
        return Reply(458, "4.3.3", f"Unable to queue messages for node {node}: queues have no names here")
    if event.node not in session.settings.relay.domains:
        return Reply(459, "4.7.1", f"Node {node} not allowed: we keep no mail for that domain")
    try:
        count = await session.around.waiting.start(event.node, event.option == "@")
    except OSError as error:
        session.record.trouble(session.id, error)
        return Reply(458, "4.3.0", f"Unable to queue messages for node {node}: try again later")
    return _started(node, count)


def _started(node: str, count: int | None) -> Reply:
    if count is None:
        return Reply(250, "2.0.0", f"OK, queuing for node {node} was started less than a minute ago")
    if not count:
        return Reply(251, "2.0.0", f"OK, no messages waiting for node {node}")
    return Reply(253, "2.0.0", f"OK, {count} pending messages for node {node} started")
