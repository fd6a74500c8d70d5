"""Why a letter was not sent: a line for people, and an exit code of sysexits.h for scripts."""

from __future__ import annotations

EX_USAGE, EX_DATAERR, EX_NOUSER, EX_UNAVAILABLE, EX_SOFTWARE = 64, 65, 67, 69, 70
EX_OSERR, EX_IOERR, EX_TEMPFAIL, EX_NOPERM, EX_CONFIG = 71, 74, 75, 77, 78

#: By the beginning of a reply's code and enhanced code; the first that fits.
_BY_REPLY = (
    ("452 4.5.3", EX_DATAERR),  # too many recipients: the same letter will not do better later
    ("4", EX_TEMPFAIL),
    ("550 5.1.", EX_NOUSER),
    ("501 5.1.", EX_DATAERR),
    ("530", EX_NOPERM),
    ("550 5.7.", EX_NOPERM),
    ("552 5.3.4", EX_DATAERR),
    ("501", EX_DATAERR),
    ("550 5.6.", EX_DATAERR),
    ("553 5.6.", EX_DATAERR),
    ("554 5.4.6", EX_DATAERR),
)


class Unsent(Exception):
    """Nothing was sent, to nobody; or it is not sure that it was."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def refused(reply: str, whom: str = "", hint: str = "") -> Unsent:
    """What the receiver's refusal comes to."""
    code = next((code for start, code in _BY_REPLY if reply.startswith(start)), EX_UNAVAILABLE)
    said = " ".join(reply.split("\n"))
    return Unsent(code, f"{f'{whom}: ' if whom else ''}{said}{f' ({hint})' if hint else ''}; nothing was sent")
