"""XCLIENT: a listed proxy says who its client is, and the session begins anew with that one."""

from __future__ import annotations

from mailstack.intake.greeting import greeting, on_rejected
from mailstack.intake.session import Session
from mailstack.model.reply import Reply
from mailstack.protocol import smtp_events as events

NOT_YOU = Reply(550, "5.7.0", "You may not speak for other clients")
NO_LOGIN_ATTRIBUTE = Reply(501, "5.5.4", "LOGIN is not taken on this port")
NO_SUCH_ACCOUNT = Reply(501, "5.5.4", "LOGIN names no account of ours")


def on_xclient(session: Session, event: events.XClient) -> Reply:
    visitor = session.visitor
    if not session.may_name_client:
        return on_rejected(session, events.Rejected(session.record.denied("XCLIENT", NOT_YOU)))
    user = None
    if event.login:
        if not session.around.submission:
            return session.record.denied("XCLIENT", NO_LOGIN_ATTRIBUTE)
        # The proxy has checked the password; whether there is such an account is for us to say.
        user = session.around.directory.account(event.login)
        if user is None:
            return session.record.denied("XCLIENT", NO_SUCH_ACCOUNT)
    session.forget()
    proxy = str(visitor)
    visitor.renamed(event, user)
    if user is not None:
        session.record.vouched_for(proxy)
    return greeting(session)
