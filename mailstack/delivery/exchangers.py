"""In which order the mail exchangers of a domain are tried. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from mailstack.model.reply import Reply


def in_order(exchangers: Sequence[tuple[int, str]], ourselves: str, rng: Random) -> Sequence[str] | Reply:
    """Hosts, the best first, in random order among equals. RFC 5321 §5.1.

    Where we are in the list ourselves, only better ones are left: mail never goes round between backups. None
    better: the mail would come back to us (5.4.6).
    """
    own = [preference for preference, host in exchangers if host.lower() == ourselves.lower()]
    rest = [(preference, host) for preference, host in exchangers if not own or preference < min(own)]
    if not rest:
        return Reply(554, "5.4.6", f"Mail loop: DNS says that {ourselves} itself is where this mail should go")
    rng.shuffle(rest)
    return [host for _, host in sorted(rest, key=lambda exchanger: exchanger[0])]
