"""What of a client's line may be kept for those who look at the session later: no secret, nothing of a message.

What we do not understand may be either: the answer to an AUTH that was refused or garbled, the message after a DATA
that was refused, the PASS of a program that is on the wrong port. So of the first such line no more than the first word
is shown, and of all others, or after AUTH, DATA or BDAT, not even that.
"""

from __future__ import annotations

import re

from mailstack.protocol.smtp_commands import PARSERS
from mailstack.protocol.smtp_events import Etrn, Event, Help, Noop, Obsolete, Rejected, Verify

HIDDEN = b"***"
A_LONG_LINE = b"(a line that is too long)"

#: Only what is known for a mechanism: who forgets to name one sends the password in its place.
_AUTH = re.compile(
    rb"AUTH +(?:PLAIN|LOGIN|SCRAM-SHA-[0-9]+(?:-PLUS)?|CRAM-MD5|DIGEST-MD5|XOAUTH2|OAUTHBEARER|NTLM|GSSAPI|EXTERNAL"
    rb"|ANONYMOUS)(?= |\Z)",
    re.IGNORECASE,
)
_ENVELOPE = re.compile(rb"(?:MAIL FROM|RCPT TO):", re.IGNORECASE)
_WORD = re.compile(rb"(?:[A-Z]{1,12}|[a-z]{1,12})\Z")  # what base64 makes hardly ever
#: Commands whose argument may be anything.
_FREE = (Rejected, Help, Noop, Verify, Etrn)
_BEFORE_SECRETS = ("AUTH", "BDAT", "DATA")


class Discretion:
    """The lines of one session, in their order. ``wary``: a line may be a part of a message, or of a log-in."""

    def __init__(self) -> None:
        self.wary = False

    def shown(self, line: bytes, event: Event | None) -> bytes:
        """As it may be shown; ``event`` is what it means, None when that is not due yet."""
        if isinstance(event, Obsolete):
            event = event.instead
        word, _, rest = line.partition(b" ")
        verb = word.decode("ascii", "replace").upper()
        known = verb in PARSERS
        wary, self.wary = self.wary, self.wary or not known or verb.startswith(_BEFORE_SECRETS)
        if verb.startswith("AUTH"):
            return _without_response(line)
        if line is A_LONG_LINE:
            return line
        if (known and not (wary and isinstance(event, _FREE))) or _ENVELOPE.match(line):
            return line
        if not known and (wary or not _WORD.match(word)):
            return HIDDEN
        return word + b" " + HIDDEN if rest else word


def _without_response(line: bytes) -> bytes:
    found = _AUTH.match(line)
    if found is None:
        return b"AUTH " + HIDDEN if len(line) > len("AUTH") else line
    return line if found.end() == len(line) else found[0] + b" " + HIDDEN
