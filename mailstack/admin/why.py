"""``mailstack why``: what has become of a letter."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from datetime import datetime

import click
from attrs import evolve, frozen

from mailstack.admin.output import clean, json_out
from mailstack.admin.site import Failed, Site
from mailstack.admin.trace import read_phrases
from mailstack.admin.why_present import Present
from mailstack.admin.why_search import Found, Question, Search
from mailstack.admin.why_sheet import Teller
from mailstack.admin.why_story import (
    DELETED,
    FETCHED,
    TOPPED,
    Beat,
    Life,
    callers,
    life,
    nameless,
    refusal,
    with_greetings,
)
from mailstack.config import values
from mailstack.config.problem import BadValue
from mailstack.message.advice import Adviser
from mailstack.message.explain import LANGUAGES
from mailstack.message.filled import filled
from mailstack.message.phrases import Phrases
from mailstack.model.address import Address
from mailstack.model.ids import came
from mailstack.model.selection import Selection, is_pattern
from mailstack.queue.wording import read_dictionary
from mailstack.server.history_file import DAY_SHARE, Day, folder_below

_MOMENTS = ("%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S")


@click.command(short_help="What has become of a letter: did it come, where is it, who fetched or deleted it?")
@click.argument("what", required=False, metavar="[ADDRESS|QUEUE-ID]")
@click.option(
    "--since", metavar="TIME", help='So long ago (90m, 2d), or 2026-11-20, or "2026-11-20 10:00", local time.'
)
@click.option("--from", "sender", metavar="ADDRESS", help="Only letters from this sender (of the envelope).")
@click.option("--message-id", default="", metavar="ID", help="Only letters with this Message-ID.")
@click.option("--last", default=20, show_default=True, type=click.IntRange(1, 1000), help="So many, the newest ones.")
@click.option("--lang", type=click.Choice(LANGUAGES), help="The language.  [default: [server] language]")
@click.option("--json", "as_json", is_flag=True, help="One JSON array, an object a letter; refusals have no id.")
@click.pass_obj
def why(
    site: Site,
    what: str | None,
    since: str | None,
    sender: str | None,
    message_id: str,
    last: int,
    lang: str | None,
    as_json: bool,
) -> None:
    """The life of letters to an address, or of one letter: how it came, where it went, who fetched and deleted it.

    \b
    "I sent Bob a mail yesterday, he says he never got it":
        mailstack why bob@office.test --from alice@office.test --since 2d
    "My phone took the mail, and my PC does not show it", "who deleted it?":
        mailstack why alice@office.test --since 2d
    "Why is this one late?" By the id in its Received field, or by its Message-ID:
        mailstack why K0YEACMR8AN7
        mailstack why --message-id "<7f2a@far.test>"
    What did alice send, and where did it go?
        mailstack why --from alice@office.test --since 1d

    Refused mail is told of, too. Times are local. [log] keep says for how long it is known what happened. Of letters
    without a queue id (imported, or put there by another program) only what POP3 did is known, and how many they were.
    Exit code 0: something was found, 1: nothing was.
    """
    phrases = read_phrases(lang or site.settings.server.language, "why")
    asked = _asked(site, what, since, sender, message_id, last)
    search = Search(folder_below(site.settings.server.data), site.now())
    found = _found(site, search, asked)
    told = _told(site, search, found, str(asked.question.recipient or ""))
    if not told:
        if as_json:
            json_out([])
        raise Failed("\n".join(_nothing(site, search.days(), asked, phrases)))
    teller = Teller(phrases, Adviser(read_dictionary(phrases.language)), site.now())
    if as_json:
        json_out([teller.as_object(each) for each in told])
        return
    for each in told:
        click.echo("\n".join([*teller.sheet(each), ""]))
    click.echo("\n".join(_end(site, search.days(), found, told, last, phrases)))


# ---- What is asked


@frozen
class Asked:
    """``id``: of one letter, "": the question says which ones."""

    id: str
    question: Question
    words: str  #: as it was typed


def _asked(site: Site, what: str | None, since: str | None, sender: str | None, message_id: str, last: int) -> Asked:
    if not (what or sender or message_id):
        raise click.UsageError("Say which letters: an ADDRESS, a QUEUE-ID, --from or --message-id.")
    words = " ".join(filter(None, (what, sender and f"--from {sender}", message_id)))
    begin = _moment(since, site.now()) if since else 0.0
    if what and "@" not in what and came(what.upper(), site.now()) is not None and not _is_name(site, what):
        return Asked(what.upper(), Question(last=last), words)
    recipient = site.address(what) if what else None
    by = site.address(sender) if sender else None
    return Asked("", Question(recipient, by, message_id, begin, last), words)


def _is_name(site: Site, text: str) -> bool:
    """Twelve letters may be somebody's name as well."""
    return text.islower() and site.book().has_mailbox(site.address(text))


def _moment(text: str, now: float) -> float:
    """Unix time."""
    try:
        return now - values.seconds(text)
    except BadValue:
        pass
    for form in _MOMENTS:
        try:
            return datetime.strptime(text, form).astimezone().timestamp()
        except (ValueError, OverflowError):
            continue
    raise click.UsageError(f"--since: {clean(text)!r} is neither a time, such as 2d, nor a day, such as 2026-11-20.")


# ---- What is found


def _found(site: Site, search: Search, asked: Asked) -> Found:
    if asked.id:
        return Found(search.lives([asked.id]))
    return search.find(asked.question, list(_queued(site, asked.question)))


def _queued(site: Site, question: Question) -> Iterator[str]:
    """Letters that wait, as the history does not name recipients who were not tried yet."""
    if question.recipient is None or question.message_id:
        return
    to, by = str(question.recipient), str(question.sender) if question.sender else None
    if is_pattern(to) or (by and is_pattern(by)):
        return
    selection = Selection(sender=by, recipient=to, arrived_after=question.since or None)
    yield from (entry.id for entry in deque(site.queue.letters(selection), maxlen=question.last))


def _told(site: Site, search: Search, found: Found, account: str) -> list[Life | Beat]:
    """Letters and refusals, the newest last; only what concerns the ``account``, unless that is ""."""
    present = Present(site.settings.server.data / "mail", site.queue, site.now())
    lives = [present.of(life(id, events, account)) for id, events in found.letters.items()]
    if found.nameless:
        lives.append(nameless(found.nameless))
    greetings = search.greetings(callers(lives))
    known = [with_greetings(each, greetings) for each in lives if each.beats or each.now]
    told: list[Life | Beat] = [_only(each, account) for each in known]
    return sorted([*told, *map(refusal, found.refusals)], key=lambda each: each.time)


def _only(each: Life, account: str) -> Life:
    """Of those who wait in the queue whom the question is about, if it names one of them."""
    mine = [beat for beat in each.now if beat.facts.get("to", account).casefold() == account.casefold()]
    return evolve(each, now=mine) if mine and account else each


# ---- What else is to be said


def _end(
    site: Site, days: Sequence[Day], found: Found, told: Sequence[Life | Beat], last: int, phrases: Phrases
) -> Iterator[str]:
    lives = [each for each in told if isinstance(each, Life)]
    letters, refusals = sum(each.id != "" for each in lives), len(told) - len(lives)
    yield phrases.say("end", "found", letters=letters, refusals=refusals)
    if any(beat.kind in (TOPPED, FETCHED, DELETED) for each in lives for beat in each.beats):
        yield phrases.say("end", "programs")
    full = [each.date.isoformat() for each in days if each.size >= site.settings.log.keep_size * DAY_SHARE]
    if full:
        yield phrases.say("end", "full", days=", ".join(full))
    if found.more:
        yield phrases.say("end", "more", number=last * 5)
    elif days:
        yield phrases.say("end", "since", day=days[0].date.isoformat())


def _nothing(site: Site, days: Sequence[Day], asked: Asked, phrases: Phrases) -> Iterator[str]:
    keep = site.settings.log.keep
    yield clean(phrases.say("none", "nothing", what=asked.words))
    to = asked.question.recipient
    if days:
        yield phrases.say("none", "since", day=days[0].date.isoformat(), keep=values.written(keep, values.TIMES))
    else:
        yield phrases.say("none", "empty" if keep else "off")
    if to is not None and _is_missing(site, to):
        yield filled(clean(phrases.say("none", "no_user", to=to)), "", "")
    elif days and to is not None:
        yield filled(phrases.say("none", "elsewhere"), "", "")
        if to.domain in site.settings.server.domains:
            yield filled(phrases.say("none", "imported"), "", "")


def _is_missing(site: Site, address: Address) -> bool:
    if address.domain not in site.settings.server.domains:
        return False
    steps = list(site.book().steps(address))
    return bool(steps) and steps[-1].rule == "unknown"
