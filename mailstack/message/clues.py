"""The envelope of a letter beside its header: what receivers have noted of the one, what the sender has written into
the other, and where the two do not go together."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from attrs import Factory, frozen

from mailstack.message.fields import Field, decoded
from mailstack.message.journey import Journey, Ours
from mailstack.message.mailboxes import BadField, mailboxes
from mailstack.message.rewritten import rewritten
from mailstack.message.when import unix_time
from mailstack.model.address import Address
from mailstack.model.domain import to_ascii

#: What is shown, in this order.
ENVELOPE = ("return-path", "delivered-to", "x-original-to", "envelope-to")
HEADER = ("from", "sender", "reply-to", "to", "cc", "date", "message-id", "list-id")
MAX_SHOWN = 5  # fields of one name

LATE, EARLY = 60, 3600  # seconds that Date may be after the first hop, and before it, without a word

_ID = re.compile(r"<[^<>@\s]*@\[?([^<>@\s\]]+)\]?>")
_SEEN = re.compile(r"[^\s\"'<>()@,;:]{1,64}@([\w-]{1,63}(?:\.[\w-]{1,63})+)")
_ANGLE = re.compile(r"<[^<>]*>")


@frozen
class Clue:
    """Something that is worth a sentence, which ``key`` names."""

    key: str
    facts: Mapping[str, object] = Factory(dict)


@frozen
class Shown:
    """A field of the letter. ``sure``: a host of ours has written it, for it stands above our oldest Received."""

    name: str  #: in lower case
    text: str
    sure: bool


@frozen
class Beside:
    envelope: tuple[Shown, ...]
    header: tuple[Shown, ...]
    verdicts: tuple[str, ...]  #: Authentication-Results (RFC 8601) that surely are ours
    clues: tuple[Clue, ...]


def beside(fields: Sequence[Field], journey: Journey, ours: Ours) -> Beside:
    top = _sure_fields(fields, journey)
    shown = [Shown(each.name, decoded(each.text), place < top) for place, each in enumerate(fields)]
    results = [each for each in shown if each.name == "authentication-results" and ours.has(_server(each.text))]
    comparison = _Comparison(fields, journey)
    return Beside(
        envelope=tuple(_chosen(shown, ENVELOPE)),
        header=tuple(_chosen(shown, HEADER)),
        verdicts=tuple(each.text for each in results if each.sure)[:MAX_SHOWN],
        clues=(*comparison.clues(), *[Clue("results_forged") for each in results if not each.sure][:1]),
    )


def _sure_fields(fields: Sequence[Field], journey: Journey) -> int:
    """How many from the top stand above our oldest Received."""
    number = sum(hop.sure for hop in journey.hops)
    places = [place for place, each in enumerate(fields) if each.name == "received"]
    return places[number - 1] if number else 0


def _chosen(shown: Sequence[Shown], names: Sequence[str]) -> Iterator[Shown]:
    for name in names:
        yield from [each for each in shown if each.name == name][:MAX_SHOWN]


def _server(results: str) -> str:
    """RFC 8601 §2.2: authserv-id is the first word."""
    return results.partition(";")[0].partition(" ")[0]


class _Comparison:
    """One letter."""

    def __init__(self, fields: Sequence[Field], journey: Journey) -> None:
        self._journey = journey
        self._fields: dict[str, list[Field]] = {}
        for each in fields:
            self._fields.setdefault(each.name, []).append(each)
        self._sender = self._text("return-path")
        self._authors, self._doubt = _read(self._all("from"))

    def clues(self) -> Iterator[Clue]:
        for topic in (
            self._of_sender,
            self._of_authors,
            self._of_answers,
            self._of_recipient,
            self._of_id,
            self._of_date,
        ):
            yield from topic()

    def _all(self, name: str) -> list[Field]:
        return self._fields.get(name, [])

    def _text(self, name: str) -> str | None:
        """Of the topmost field."""
        found = self._all(name)
        return found[0].text if found else None

    # ---- Topics

    def _of_sender(self) -> Iterator[Clue]:
        if self._sender is None:
            return
        sender = self._sender.strip("<> ")
        local, _, domain = sender.rpartition("@")
        if not sender:
            yield Clue("null_sender")
        elif made := rewritten(local, domain):
            yield Clue(made.kind, {"sender": sender, "address": made.address})
            domain = made.address.rpartition("@")[2] if made.kind == "srs" else domain
        if domain and self._authors and not any(_related(domain, author.domain) for author in self._authors):
            key = "sender_of_list" if self._all("list-id") else "sender_differs"
            yield Clue(key, {"sender": sender, "author": self._authors[0]})

    def _of_authors(self) -> Iterator[Clue]:
        number = len(self._all("from"))
        if number == 0:
            yield Clue("no_from")
        elif number > 1:
            yield Clue("many_from", {"number": number})
        if self._doubt:
            yield Clue("from_unclear")
        for each in self._all("from")[:1]:
            text = decoded(each.text)
            for seen in _SEEN.finditer(_ANGLE.sub("", text) if _ANGLE.search(text) else ""):
                if self._authors and not any(_related(seen[1], author.domain) for author in self._authors):
                    yield Clue("name_is_address", {"name": seen[0], "author": self._authors[0]})
                    return

    def _of_answers(self) -> Iterator[Clue]:
        for name, key in (("sender", "other_sender"), ("reply-to", "answers_elsewhere")):
            found, _ = _read(self._all(name))
            if found and self._authors and not any(_related(found[0].domain, each.domain) for each in self._authors):
                yield Clue(key, {"address": found[0], "author": self._authors[0]})

    def _of_recipient(self) -> Iterator[Clue]:
        got = [each.text.strip("<> ").lower() for name in ENVELOPE[1:] for each in self._all(name)]
        named, doubt = _read([*self._all("to"), *self._all("cc")])
        if got and not doubt and not {form for each in named for form in _forms(each)} & set(got):
            yield Clue("not_named", {"recipient": got[0]})

    def _of_id(self) -> Iterator[Clue]:
        text = self._text("message-id")
        if text is None:
            yield Clue("no_id")
            return
        found = _ID.search(text)
        domains = [author.domain for author in self._authors]
        if self._sender:
            domains.append(self._sender.strip("<> ").rpartition("@")[2])
        stamps = [hop.stamp for hop in self._journey.hops]
        for stamp in stamps:
            domains += filter(None, (stamp.by.partition(" ")[0], stamp.helo, stamp.name, stamp.address))
        if found and domains and not any(_related(found[1], domain) for domain in domains):
            yield Clue("id_from_elsewhere", {"domain": found[1]})

    def _of_date(self) -> Iterator[Clue]:
        text = self._text("date")
        first = next((hop.stamp.time for hop in self._journey.hops if hop.stamp.time is not None), None)
        if text is None:
            yield Clue("no_date")
        elif (written := unix_time(text)) is None:
            yield Clue("date_unreadable")
        elif first is not None and written - first > LATE:
            yield Clue("date_late", {"seconds": written - first})
        elif first is not None and first - written > EARLY:
            yield Clue("date_early", {"seconds": first - written})


def _read(fields: Sequence[Field]) -> tuple[list[Address], bool]:
    """The mailboxes, and whether some of it can be read in more than one way or in none."""
    found: list[Address] = []
    try:
        for each in fields:
            found.extend(mailboxes(each.value))
    except BadField:
        return found, True
    return found, False


def _forms(address: Address) -> Iterator[str]:
    yield str(address).lower()
    yield address.unicode.lower()


def _related(one: str, other: str) -> bool:
    """Whether one of the domains is the other, or below it."""
    first, second = _name(one), _name(other)
    return first == second or first.endswith(f".{second}") or second.endswith(f".{first}")


def _name(domain: str) -> str:
    try:
        return to_ascii(domain).rstrip(".")
    except ValueError:
        return domain.lower()
