"""A draft is handed to a receiver, in the words of SMTP; to all recipients, or to nobody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from mailstack.admin.sendmail_errors import EX_TEMPFAIL, Unsent, refused
from mailstack.admin.sendmail_letter import Draft
from mailstack.admin.sendmail_options import Options
from mailstack.model.address import Address

#: Commands that are said in one go: what waits unread on either side is bounded.
BURST = 50


class Call(Protocol):
    """A session with a receiver. ``greeting`` are the replies that came first."""

    greeting: list[str]

    def say(self, octets: bytes) -> list[str]:
        """A reply for each line; fewer when the session ends."""

    def give(self, message: bytes) -> list[str]:
        """The one reply to commands that carry a message."""


def hand_over(call: Call, draft: Draft, options: Options, *, encrypt: bool = False, hint: str = "") -> str:
    """The reply that makes it theirs. Unsent: they do not take it. ``hint``: what to do when relaying is denied."""
    _agreed(call.greeting)
    _agreed(call.say(b"EHLO localhost\r\n"))
    if encrypt:
        _agreed(call.say(b"STARTTLS\r\n"))
        _agreed(call.say(b"EHLO localhost\r\n"))
    _agreed(call.say(_mail(draft, options)))
    _address(call, draft.recipients, f" NOTIFY={options.notify}" if options.notify else "", hint)
    octets = draft.octets.replace(b"\n", b"\r\n")
    return _agreed(call.give(b"BDAT %d LAST\r\n" % len(octets) + octets))


def _agreed(replies: Sequence[str]) -> str:
    if not replies:
        raise Unsent(EX_TEMPFAIL, "the server has hung up; nothing was sent")
    if not replies[0].startswith("2"):
        raise refused(replies[0])
    return replies[0]


def _mail(draft: Draft, options: Options) -> bytes:
    words = [f"MAIL FROM:<{draft.sender or ''}> SIZE={len(draft.octets) + draft.octets.count(bytes([10]))}"]
    if not draft.octets.isascii():
        words.append("BODY=8BITMIME")
    # A header beyond ASCII is sent as it is, as sendmails always did: who asked for SMTPUTF8 would get bounces.
    if not all(address.isascii for address in (draft.sender, *draft.recipients) if address):
        words.append("SMTPUTF8")
    words += [f"RET={options.ret}"] * bool(options.ret) + [f"ENVID={options.envid}"] * bool(options.envid)
    return f"{' '.join(words)}\r\n".encode()


def _address(call: Call, recipients: Sequence[Address], notify: str, hint: str) -> None:
    """All of them, before anything is said of those that are refused. Who refuses for good goes before who puts off."""
    refusals: dict[str, list[str]] = {}
    for start in range(0, len(recipients), BURST):
        burst = recipients[start : start + BURST]
        replies = call.say("".join(f"RCPT TO:<{address}>{notify}\r\n" for address in burst).encode())
        for address, reply in zip(burst, replies, strict=False):
            if not reply.startswith("2"):
                refusals.setdefault(reply, []).append(str(address))
        if len(replies) < len(burst) and not refusals:
            _agreed(())
        if len(replies) < len(burst):
            break
    if refusals:
        reply = max(refusals)
        raise refused(reply, ", ".join(refusals[reply]), hint if reply.startswith("550 5.7.1") else "")
