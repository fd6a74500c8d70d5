"""VRFY and EXPN: questions about addresses. RFC 5321 §3.5.

Our own people hear the truth. All others hear one and the same answer, before anything is looked up, so that neither
its words nor its time tell who exists.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mailstack.intake.session import Session
from mailstack.interfaces.accounts import IDirectory
from mailstack.model.address import Address, path
from mailstack.model.reply import Reply
from mailstack.protocol import smtp_events as events
from mailstack.protocol.paths import BadPath, mailbox

CANNOT_VERIFY = Reply(252, "2.0.0", "Strangers are not told, but RCPT tells whether mail is taken")
NOT_OURS = Reply(252, "2.0.0", "Not a domain of ours: who exists there is not known, but RCPT tells whether we send on")
NO_ADDRESS = Reply(501, "5.1.3", "That is neither a mail address nor the part before the @")
NO_LIST = Reply(550, "5.2.4", "That is a user name, not a mailing list")  # RFC 5321 §3.5.1
NEEDS_UTF8 = Reply(252, "2.6.8", "The address needs UTF-8: ask again with SMTPUTF8")  # RFC 6531 §3.7.4.2
UNSURE = Reply(451, "4.3.0", "The list of our users cannot be used now, try again later")

EXACT = ("account", "alias")


def on_verify(session: Session, event: events.Verify) -> Reply:
    if not session.trusted:
        return CANNOT_VERIFY
    named = _named(event.argument, session.settings.server.domains)
    if not named:
        return NO_ADDRESS
    directory = session.around.directory
    if not directory.is_local(named[0].domain):
        return NOT_OURS
    rules = {address: directory.rule(address) for address in named}
    if "unsure" in rules.values():
        return UNSURE
    reply = _answer(directory, event.verb, rules)
    return reply if event.smtputf8 or reply.text.isascii() else NEEDS_UTF8


def _named(text: str, domains: Sequence[str]) -> list[Address]:
    """What may be meant: with a domain that one, without any the name in each of our domains."""
    text = text.removeprefix("<").removesuffix(">").strip()
    for candidates in ([text], [f"{text}@{domain}" for domain in domains]):
        try:
            return [mailbox(candidate) for candidate in candidates]
        except BadPath:
            pass
    return []


def _answer(directory: IDirectory, verb: str, rules: Mapping[Address, str]) -> Reply:
    # A catch-all has every name; it counts where no domain has the name itself.
    exact = [address for address, rule in rules.items() if rule in EXACT]
    caught = [address for address, rule in rules.items() if rule == "catch-all"]
    meant = exact or caught[:1] or list(rules)[:1]
    found = [directory.resolve(address) for address in meant]
    for each in found:
        if each.refusal is not None:
            return each.refusal
    targets = [tuple(recipient.address for recipient in each.recipients) for each in found]
    if len(set(targets)) > 1:
        return _reply(553, "5.1.4", ["Ambiguous; possibilities are", *map(path, meant)])
    if verb == "VRFY":
        return _mailboxes(directory, targets[0])
    return _members(targets[0]) if rules[meant[0]] == "alias" else NO_LIST


def _mailboxes(directory: IDirectory, targets: Sequence[Address]) -> Reply:
    """RFC 5321 §3.5.3 has 251 for what leads away from here."""
    if any(directory.is_local(target.domain) for target in targets):
        return _reply(250, "2.1.5", map(path, targets))
    return _reply(251, "2.1.5", [f"User not local; will forward to {path(target)}" for target in targets])


def _members(targets: Sequence[Address]) -> Reply:
    """RFC 5321 §3.5.1: exactly one mailbox on each line."""
    return _reply(250, "2.1.5", map(path, targets))


def _reply(code: int, status: str, lines: Iterable[str]) -> Reply:
    return Reply(code, status, "\n".join(lines))
