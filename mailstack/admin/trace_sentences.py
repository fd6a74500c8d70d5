"""What is said about the way of a letter: in sentences, in somebody's language."""

from __future__ import annotations

from attrs import frozen

from mailstack.message.clocks import Skew
from mailstack.message.clues import Beside, Clue, Shown
from mailstack.message.journey import CLAIMED, FIRST, NOBODY, NONE, STRANGER, Hop, Journey
from mailstack.message.phrases import Phrases
from mailstack.message.received import Stamp

MAX_TEXT = 300  # characters of one fact that are shown
SPECIAL = {"message-id": "Message-ID"}
FROM_ELSEWHERE = (STRANGER, CLAIMED, FIRST)
UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


@frozen
class Traced:
    """What there is to say of one letter."""

    journey: Journey
    beside: Beside
    cut: bool  #: the file may have more of a header than was read


def title(hop: Hop, phrases: Phrases) -> str:
    return f"{phrases.say('labels', 'hop')} {hop.number} {phrases.say('labels', 'hop_end')}".rstrip()


def span(seconds: int) -> str:
    """``1h 2m 3s``, in the units of mail.ini."""
    parts, rest = [], abs(seconds)
    for unit, name in UNITS:
        amount, rest = divmod(rest, unit)
        if amount:
            parts.append(f"{amount}{name}")
    return " ".join(parts) or "0s"


def short(text: object) -> str:
    """So that one line of a letter fills no screen."""
    shown = str(text)
    return shown if len(shown) <= MAX_TEXT else f"{shown[: MAX_TEXT - 1]}…"


def _facts(clue: Clue) -> dict[str, str]:
    said = {name: short(value) for name, value in clue.facts.items() if name != "seconds"}
    seconds = clue.facts.get("seconds")
    return {**said, "span": span(seconds)} if isinstance(seconds, int) else said


def clue_sentences(found: Beside, phrases: Phrases) -> list[str]:
    return [phrases.say("clues", clue.key, **_facts(clue)) for clue in found.clues]


def _host(hop: Hop, phrases: Phrases) -> str:
    return short(hop.stamp.by) if hop.stamp.by else title(hop, phrases)


def skew_sentence(skew: Skew, journey: Journey, phrases: Phrases) -> str:
    hop = journey.hops[skew.place]
    facts = {"host": _host(hop, phrases), "span": span(skew.seconds)}
    if skew.other is not None:
        other = journey.hops[skew.other]
        said = phrases.say("clocks", "either", other=_host(other, phrases), **facts)
        doubtful = not (hop.sure and other.sure)
    else:
        said = phrases.say("clocks", "ahead" if skew.ahead else "behind", **facts)
        doubtful = not hop.sure
    return _joined(phrases, said, phrases.say("clocks", "or_invented")) if doubtful else said


def _joined(phrases: Phrases, *sentences: str) -> str:
    return phrases.say("lines", "gap").join(sentences)


def border_sentence(journey: Journey, phrases: Phrases) -> str:
    """What is sure, and why no more is."""
    border, sure = journey.border, journey.last_sure
    if sure is None:
        newest = short(journey.hops[-1].stamp.by) if journey.hops else ""
        return phrases.say("border", NONE if border == NONE else NOBODY if newest else "nobody_readable", newest=newest)
    facts = {"host": _host(sure, phrases), "address": sure.stamp.address, "older": _older(journey, sure)}
    # Without an address there is nothing that could be trusted.
    reason = STRANGER if border == CLAIMED and not sure.stamp.address else border
    why = phrases.say("border", reason, **facts)
    if border not in FROM_ELSEWHERE:
        return why
    return _joined(phrases, phrases.say("came", _whence(sure.stamp), **facts), why)


def _whence(stamp: Stamp) -> str:
    if stamp.address:
        return "login" if stamp.authenticated else "from"
    return "local" if stamp.local else "somewhere"


def _older(journey: Journey, sure: Hop) -> str:
    """By whom the next older line says that it is."""
    place = journey.hops.index(sure) - 1
    return short(journey.hops[place].stamp.by) if place >= 0 else ""


def field_name(shown: Shown) -> str:
    return SPECIAL.get(shown.name, shown.name.title())
