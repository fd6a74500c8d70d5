"""What a message must be when it comes from one of our users: RFC 6409 §6 and §8."""

from __future__ import annotations

from attrs import frozen

from mailstack.intake.ownership import not_own
from mailstack.intake.session import Session
from mailstack.intake.transaction import Edit
from mailstack.message.mailboxes import BadField, mailboxes
from mailstack.message.submission import SubmittedHeader
from mailstack.model.address import Address
from mailstack.model.reply import Reply

MANY_FROM = Reply(550, "5.6.0", "Several From fields; there must be one, with all authors (RFC 5322 section 3.6)")
NO_AUTHOR = Reply(550, "5.6.0", "From names no address (RFC 5322 section 3.6.2)")
NO_SENDER = Reply(550, "5.6.0", "Several authors in From need a Sender field with one address (RFC 5322 section 3.6.2)")


def completion(session: Session, sender: Address | None) -> Edit:
    """For who needs no permission: the missing fields alone. Who is at work on this machine is known by Received."""
    author = sender or session.settings.server.postmaster
    hostname = session.settings.server.hostname
    return lambda octets, id, now: SubmittedHeader.of(octets).completed(author, f"<{id}@{hostname}>", now)


def sent_by(session: Session, sender: Address | None) -> Address | None:
    """The account in whose Sent folder the message is to be saved; None: nobody wants that. It is the one that has
    logged in: From and the envelope may have any address of it. Scripts on this machine have none."""
    user = session.visitor.user
    # Without a sender it is a report or an answer by a program, which nobody looks for there.
    if user is None or sender is None:
        return None
    return user if session.around.directory.saves_sent(user) else None


@frozen
class SubmissionRule:
    """For one message. ``author`` is who it is from if it does not say so."""

    session: Session
    author: Address

    def edit(self, octets: bytes, id: str, now: float) -> bytes | Reply:
        """The header as it goes out, or why it does not."""
        header = SubmittedHeader.of(octets)
        refusal = self._authors(header)
        if refusal is not None:
            return refusal
        return header.completed(self.author, f"<{id}@{self.session.settings.server.hostname}>", now)

    def _authors(self, header: SubmittedHeader) -> Reply | None:
        """All of them must be addresses of the one who is logged in."""
        if not header.all("from"):
            return None
        if len(header.all("from")) > 1:
            return MANY_FROM
        checked = self._checked("From", header.all("from")[0])
        if isinstance(checked, Reply):
            return checked
        if checked == 1:
            # Sender, if it is there, is no claim of authorship then.
            return None
        return self._sender(header) if checked else NO_AUTHOR

    def _sender(self, header: SubmittedHeader) -> Reply | None:
        """Who of several authors has sent it must be told, and be the one who is logged in."""
        if len(header.all("sender")) != 1:
            return NO_SENDER
        checked = self._checked("Sender", header.all("sender")[0])
        if isinstance(checked, Reply):
            return checked
        return None if checked == 1 else NO_SENDER

    def _checked(self, name: str, value: bytes) -> int | Reply:
        """The number of addresses in a field, if all are own; the same one twice counts once."""
        found = set()
        try:
            for address in mailboxes(value):
                refusal = not_own(self.session, address)
                if refusal is not None:
                    return _with_address(refusal, name, address)
                found.add(address.key)
        except BadField as error:
            return Reply(550, "5.6.0", f"{name} {error} (RFC 5322 section 3.4)")
        return len(found)


def _with_address(refusal: Reply, name: str, address: Address) -> Reply:
    """So that the user, and who reads the log, see which one it is."""
    if not refusal.permanent:
        return refusal
    shown = str(address).encode("ascii", "backslashreplace").decode("ascii")
    return Reply(refusal.code, refusal.status, f"{name} has <{shown[:320]}>, which is not your address")
