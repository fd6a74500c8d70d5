"""The life of a letter in words, and as JSON."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping

import click
from attrs import frozen

from mailstack.admin import why_story as story
from mailstack.admin.moments import span, wall_clock
from mailstack.admin.output import clean, utc
from mailstack.admin.trace_sentences import short
from mailstack.admin.why_story import Beat, Life
from mailstack.message.advice import NOBODY, Adviser
from mailstack.message.filled import filled
from mailstack.message.phrases import Phrases
from mailstack.model.ids import came

MOST_BEATS = 40  # of one letter that are shown
SLOW = 1.0  # seconds of coming in that are worth a word
INDENT = "      "

#: What a sentence may name. A file that was edited by hand may lack any of it.
_NAMES = ("client", "helo", "login", "uid", "to", "orig_to", "relay", "reply", "user", "rip", "what", "by", "from",
          "report", "original", "folder")  # fmt: skip
_MAYBE = dict.fromkeys(_NAMES, "?")
_NOT_TAKEN = (story.DEFERRED, story.BOUNCED, story.REFUSED)


@frozen
class Teller:
    """Tells lives in one language."""

    phrases: Phrases
    adviser: Adviser
    now: float

    # ---- Sentences

    def sentence(self, beat: Beat) -> str:
        facts = _MAYBE | {name: short(text) for name, text in beat.facts.items()}
        if beat.kind in (story.REPORTED, story.REPORT):
            return self.phrases.say(beat.kind, beat.facts["what"], **facts)
        if beat.kind in self.phrases.table["now"]:
            return self.phrases.say("now", beat.kind, **facts | self._place(beat))
        others = self.phrases.say("words", "others", others=facts["others"]) if "others" in facts else ""
        return self.phrases.say("happened", beat.kind, **facts | self._circumstances(beat)) + others

    def _place(self, beat: Beat) -> dict[str, str]:
        folder = beat.facts.get("folder", "")
        named = self.phrases.say("words", "folder" if folder else "inbox", folder=short(folder))
        return {"folder": named, "next": wall_clock(beat.time)}

    def _circumstances(self, beat: Beat) -> dict[str, str]:
        words, facts = self.phrases, beat.facts
        tls = facts.get("tls", "")
        secured = words.say(
            "words", {"": "clear", "no": "clear", "yes": "tls"}.get(tls, "version"), tls=tls.partition(" ")[0]
        )
        original = facts.get("orig_to", "")
        delay, took = facts.get("delay"), facts.get("took", "")
        return {
            "took": words.say("words", "took", span=_span(took)) if _seconds(took) >= SLOW else "",
            "place": words.say("words", "place", folder=short(facts["folder"])) if facts.get("folder") else "",
            "helo": short(facts.get("helo") or words.say("words", "noname")),
            "secured": secured,
            "alias": words.say("words", "alias", orig_to=short(original)) if original else "",
            "after": words.say("words", "after", span=_span(delay)) if delay else "",
        }

    def details(self, beat: Beat) -> Iterator[str]:
        """What else is to be said of it: how often, what it means, what to do."""
        if beat.times > 1:
            yield self.phrases.say("words", "times", times=beat.times, until=wall_clock(beat.until))
        if beat.kind in _NOT_TAKEN:
            yield from self._advice(beat)
        if beat.kind in self.phrases.table["about"] and beat.facts.get("said"):
            yield self.phrases.say("about", beat.kind, said=short(beat.facts["said"]))
        if beat.facts.get("sends_as"):
            yield self.phrases.say("about", "sends_as", **{name: short(text) for name, text in beat.facts.items()})
        if beat.facts.get("path"):
            yield self.phrases.say("about", "before")

    def _advice(self, beat: Beat) -> Iterator[str]:
        reply = story.reply_of(beat.facts.get("reply", ""))
        if not reply.code:
            return
        advice = self.adviser.advice(reply, ours=beat.kind == story.REFUSED)
        yield self.phrases.say("words", "meaning", text=advice.happened)
        dictionary, act = self.adviser.dictionary, advice.act
        if beat.kind == story.DEFERRED and not advice.now and advice.who != NOBODY:
            act = dictionary.gap.join([dictionary.word("sentences", "If it lasts:"), act])
        yield self.phrases.say("words", "act", text=act)

    # ---- For people

    def sheet(self, told: Life | Beat) -> Iterator[str]:
        """A letter, or a refusal."""
        return self._letter(told) if isinstance(told, Life) else self._refusal(told)

    def _letter(self, life: Life) -> Iterator[str]:
        yield click.style(clean("  ".join(self._title(life))), bold=True)
        if life.id and life.begin is None and not any(beat.kind == story.REPORT for beat in life.beats):
            made = came(life.id, self.now)
            if made is not None:
                yield f"  {wall_clock(made)}  {self.phrases.say('about', 'unknown_begin')}"
        left_out = len(life.beats) - MOST_BEATS
        for place, beat in enumerate(life.beats):
            if left_out > 0 and place == MOST_BEATS // 2:
                yield f"  {self.phrases.say('words', 'left_out', number=left_out)}"
            if left_out <= 0 or not 0 <= place - MOST_BEATS // 2 < left_out:
                yield from self._lines(wall_clock(beat.time), beat)
        for beat in life.now:
            yield from self._lines(self.phrases.say("words", "now"), beat)

    def _title(self, life: Life) -> Iterator[str]:
        say, facts = self.phrases.say, life.begin.facts if life.begin else {}
        yield life.id or say("words", "nameless")
        if life.begin:
            yield say("words", "from", sender=short(facts.get("from") or say("words", "nobody")))
            yield say("words", "octets", size=facts.get("size", "?"))
        if "message-id" in facts:
            yield f"Message-ID <{short(facts['message-id'])}>"

    def _refusal(self, beat: Beat) -> Iterator[str]:
        say = self.phrases.say
        sender = beat.facts.get("from") or say("words", "nobody")
        envelope = say("words", "envelope", **{"from": short(sender), "to": short(beat.facts.get("to", "?"))})
        yield click.style(clean(f"{say('words', 'not_taken')}  {envelope}"), bold=True)
        yield from self._lines(wall_clock(beat.time), beat)

    def _lines(self, when: str, beat: Beat) -> Iterator[str]:
        yield f"  {when}  {clean(self.sentence(beat))}"
        for text in self.details(beat):
            yield from (clean(line) for line in filled(text, INDENT, INDENT).split("\n"))
        if beat.facts.get("path"):
            # In one line, to be copied.
            yield clean(f"{INDENT}  mailstack trace {shlex.quote(beat.facts['path'])}")

    # ---- For scripts

    def as_object(self, told: Life | Beat) -> dict[str, object]:
        return self._letter_object(told) if isinstance(told, Life) else self._refusal_object(told)

    def _letter_object(self, life: Life) -> dict[str, object]:
        facts: Mapping[str, str] = life.begin.facts if life.begin else {}
        return {
            "id": life.id or None,
            "sender": facts.get("from", "") if life.begin else None,
            "size": int(facts["size"]) if facts.get("size", "").isdecimal() else None,
            "message_id": facts.get("message-id"),
            "events": [self._beat(each) for each in life.beats],
            "now": [self._beat(each) for each in life.now],
        }

    def _refusal_object(self, beat: Beat) -> dict[str, object]:
        sender = beat.facts.get("from", "")
        return {"id": None, "sender": sender, "size": None, "message_id": None, "events": [self._beat(beat)], "now": []}

    def _beat(self, beat: Beat) -> dict[str, object]:
        return {
            "time": utc(beat.time),
            "until": utc(beat.until or beat.time),
            "times": beat.times,
            "what": beat.kind,
            **{name.replace("-", "_"): text for name, text in beat.facts.items() if name != "what"},
            "text": self.sentence(beat),
        }


def _seconds(text: str) -> float:
    """0 where it is no number."""
    try:
        return float(text)
    except ValueError:
        return 0.0


def _span(text: str) -> str:
    seconds = _seconds(text)
    return span(seconds) if seconds >= SLOW else f"{seconds:.2f} s"
