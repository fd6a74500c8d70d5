"""The way of a letter, as JSON and for people."""

from __future__ import annotations

from collections.abc import Iterator

import click
from attrs import asdict

from mailstack.admin.output import clean, padded, utc
from mailstack.admin.trace_sentences import (
    Traced,
    border_sentence,
    clue_sentences,
    field_name,
    short,
    skew_sentence,
    span,
    title,
)
from mailstack.message.clocks import Skew
from mailstack.message.clues import Beside, Shown
from mailstack.message.journey import Hop, Journey
from mailstack.message.phrases import Phrases
from mailstack.message.received import Stamp

WIDTH = 10  # columns of the labels
FIELD_WIDTH = 16


def sheet(traced: Traced, phrases: Phrases) -> Iterator[str]:
    journey = traced.journey
    if journey.skipped:
        yield click.style(phrases.say("lines", "skipped", number=f"{journey.skipped:,}"), dim=True)
        yield ""
    for place, hop in enumerate(journey.hops):
        if hop.sure and place and not journey.hops[place - 1].sure:
            yield click.style(f"──── {phrases.say('lines', 'border')}", fg="yellow")
            yield ""
        yield from _hop(hop, journey, phrases)
        yield ""
    yield from _summary(traced, phrases)
    yield from _beside(traced.beside, phrases)
    if traced.cut:
        yield ""
        yield phrases.say("lines", "cut", octets="4,194,304")


def _hop(hop: Hop, journey: Journey, phrases: Phrases) -> Iterator[str]:
    stamp = hop.stamp
    head = [padded(title(hop, phrases), WIDTH - 1), utc(stamp.time) or phrases.say("labels", "no_date")]
    if stamp.time is None and stamp.date:
        head.append(f"({clean(short(stamp.date))})")
    if hop.delay is not None:
        head.append(f" {'-' if hop.delay < 0 else '+'}{span(hop.delay)}")
    if hop.slowest:
        head.append(f" {phrases.say('labels', 'slowest')}")
    yield click.style(" ".join(head), bold=True)
    if stamp.readable:
        rows = dict(_rows(stamp, phrases))
        yield from (f"  {name:{WIDTH - 2}}{clean(short(text))}" for name, text in rows.items() if text)
    else:
        yield f"  {phrases.say('lines', 'unreadable')}"
        yield f"  {clean(short(stamp.raw))}"
    for skew in journey.skews:
        if hop is journey.hops[skew.place if skew.other is None else skew.other]:
            yield click.style(f"  {clean(skew_sentence(skew, journey, phrases))}", fg="yellow")


def _rows(stamp: Stamp, phrases: Phrases) -> Iterator[tuple[str, str]]:
    """By the words of the field itself."""
    yield "", f"({stamp.note})" if stamp.note else ""
    yield "from", ", ".join(_client(stamp, phrases))
    yield "by", f"{stamp.by} ({stamp.software})" if stamp.software else stamp.by
    yield "via", stamp.via
    yield "with", ": ".join(filter(None, (stamp.protocol, ", ".join(_security(stamp, phrases)))))
    yield "id", stamp.id
    yield "for", stamp.to


def _client(stamp: Stamp, phrases: Phrases) -> Iterator[str]:
    """What the server saw first, what the client claims last."""
    if stamp.address:
        yield stamp.address
    if stamp.name:
        yield phrases.say("labels", "known_as", name=stamp.name)
    if stamp.helo:
        yield phrases.say("labels", "calls_itself", helo=stamp.helo)


def _security(stamp: Stamp, phrases: Phrases) -> Iterator[str]:
    if stamp.encrypted is not None:
        yield phrases.say("labels", "encrypted" if stamp.encrypted else "clear")
    if stamp.tls:
        yield from filter(None, (stamp.tls.version, stamp.tls.cipher))
        if stamp.tls.outdated:
            yield phrases.say("labels", "outdated")
    if stamp.authenticated:
        yield phrases.say("labels", "login_as" if stamp.login else "login", login=stamp.login)
    if stamp.utf8:
        yield phrases.say("labels", "any_script")


def _summary(traced: Traced, phrases: Phrases) -> Iterator[str]:
    journey = traced.journey
    number = len(journey.hops)
    if number > 1:
        text = phrases.say("lines", "no_total")
        if journey.total is not None:
            text = phrases.say("lines", "total", span=span(journey.total), number=number)
        yield _labelled("total", text, phrases)
    yield _labelled("sure", border_sentence(journey, phrases), phrases)
    for verdict in traced.beside.verdicts:
        yield _labelled("our_verdict", short(verdict), phrases)


def _labelled(label: str, text: str, phrases: Phrases) -> str:
    return f"{click.style(padded(phrases.say('labels', label), WIDTH), bold=True)}{clean(text)}"


def _beside(found: Beside, phrases: Phrases) -> Iterator[str]:
    for label, shown in (("envelope", found.envelope), ("header", found.header)):
        if shown:
            yield ""
            yield click.style(phrases.say("labels", label), bold=True)
        for each in shown:
            doubt = f"  ({phrases.say('labels', 'unsure')})" if label == "envelope" and not each.sure else ""
            yield f"  {field_name(each):{FIELD_WIDTH}}{clean(short(each.text))}{click.style(doubt, dim=True)}"
    if found.clues:
        yield ""
        yield from (f"* {clean(sentence)}" for sentence in clue_sentences(found, phrases))


def as_object(traced: Traced, phrases: Phrases) -> dict[str, object]:
    journey, found = traced.journey, traced.beside
    sure = journey.last_sure
    return {
        "hops": [_hop_object(hop) for hop in journey.hops],
        "skipped": journey.skipped,
        "total": journey.total,
        "border": {
            "hop": sure.number if sure else None,
            "address": sure.stamp.address if sure else "",
            "reason": journey.border,
            "text": border_sentence(journey, phrases),
        },
        "clocks": [_skew_object(skew, journey, phrases) for skew in journey.skews],
        "envelope": [_shown_object(each) for each in found.envelope],
        "header": [_shown_object(each) for each in found.header],
        "verdicts": list(found.verdicts),
        "clues": [
            {"about": clue.key, "text": text}
            for clue, text in zip(found.clues, clue_sentences(found, phrases), strict=True)
        ],
    }


def _hop_object(hop: Hop) -> dict[str, object]:
    stamp = hop.stamp
    return {
        "hop": hop.number,
        "sure": hop.sure,
        "time": utc(stamp.time),
        "delay": hop.delay,
        "slowest": hop.slowest,
        "readable": stamp.readable,
        "helo": stamp.helo,
        "name": stamp.name,
        "address": stamp.address,
        "by": stamp.by,
        "software": stamp.software,
        "via": stamp.via,
        "with": stamp.protocol,
        "encrypted": stamp.encrypted,
        "tls": asdict(stamp.tls) if stamp.tls else None,
        "authenticated": stamp.authenticated,
        "login": stamp.login,
        "id": stamp.id,
        "for": stamp.to,
        "date": stamp.date,
        "raw": stamp.raw,
    }


def _skew_object(skew: Skew, journey: Journey, phrases: Phrases) -> dict[str, object]:
    return {
        "hop": journey.hops[skew.place].number,
        "ahead": skew.ahead,
        "seconds": skew.seconds,
        "or_hop": None if skew.other is None else journey.hops[skew.other].number,
        "text": skew_sentence(skew, journey, phrases),
    }


def _shown_object(shown: Shown) -> dict[str, object]:
    return {"name": field_name(shown), "text": shown.text, "sure": shown.sure}
