"""VRFY and EXPN: questions about addresses. RFC 5321 §3.5."""

from __future__ import annotations

from mailstack.intake.session import Session
from mailstack.model.reply import Reply
from mailstack.protocol import smtp_events as events

CANNOT_VERIFY = Reply(252, "2.0.0", "Strangers are not told, but RCPT tells whether mail is taken")


def on_verify(session: Session, event: events.Verify) -> Reply:
    return CANNOT_VERIFY
