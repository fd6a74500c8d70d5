"""Whose address is it: our users send as themselves, as a sub-address of theirs, or as an alias that reaches them."""

from __future__ import annotations

from mailstack.intake.session import Session
from mailstack.model.address import Address
from mailstack.model.reply import Reply

NOT_YOUR_ADDRESS = Reply(553, "5.7.1", "That sender address is not yours")


def not_own(session: Session, address: Address) -> Reply | None:
    """Why the user who is logged in may not use the address; None: it is the user's own."""
    user, directory = session.visitor.user, session.around.directory
    if user is not None and address.key == user.key:
        return None
    if not directory.is_local(address.domain):
        return NOT_YOUR_ADDRESS
    found = directory.resolve(address)
    if found.refusal is not None and not found.refusal.permanent:
        # Nobody can tell now. A refusal for good would be a lie.
        return found.refusal
    return None if any(target.address == user for target in found.recipients) else NOT_YOUR_ADDRESS
