"""What is done to letters in the queue: by an administrator, or by the user who has sent them."""

from __future__ import annotations

from attrs import frozen

from mailstack.model.reply import Reply

RETRY, HOLD, RELEASE, DROP, BOUNCE = "retry", "hold", "release", "drop", "bounce"
VERBS = (RETRY, HOLD, RELEASE, DROP, BOUNCE)

#: RFC 3463 has no code for the will of a postmaster: "other or undefined security status", of what is not our fault
#: and no address's. With 554 it is for good.
RETURNED = Reply(554, "5.7.0", "Returned by the administrator")


@frozen
class Deed:
    verb: str
    by: str  #: the name of the administrator's account; the address of the sender's
    at: float  #: Unix time
    reason: str = ""  #: why, in one line; for the sender too, when the letter is returned
    own: bool = False  #: it is the sender who does it

    @property
    def verdict(self) -> Reply:
        """What the sender of a returned letter reads."""
        text = f"{RETURNED.text}: {self.reason}" if self.reason else RETURNED.text
        return Reply(RETURNED.code, RETURNED.status, text)
