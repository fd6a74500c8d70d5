"""What a reply means for whoever has sent a letter: what happened, who must act, and what they can do."""

from __future__ import annotations

import re

from attrs import field, frozen

from mailstack.message.explain import ANY, Dictionary, Table
from mailstack.model.reply import Reply

#: Who must act; ``wait``: nobody yet, for the server tries again.
WHO = YOU, RECIPIENT, THEY, US, NOBODY, WAIT = "you", "recipient", "they", "us", "nobody", "wait"
MAX_TEXT = 2_000  #: characters of a reply in which phrases are looked for

_ADDRESS = re.compile(r"<[^<>\s]{0,320}>|[^\s<>@:,;'\"()]{1,64}@[\w.-]{1,255}")
_OURS = "our-turn"
_END = {"en": ".", "zh": "。"}


@frozen
class Advice:
    happened: str  #: a sentence
    who: str
    act: str  #: a sentence or more
    source: str  #: where it is written: sections of RFCs, or whose words they are
    now: bool = False  #: they must act also while it is still being tried
    exact: bool = True  #: False: only what the first digit says is known


@frozen
class Adviser:
    """The dictionary, asked for advice."""

    dictionary: Dictionary
    _phrases: tuple[tuple[re.Pattern[str], Table], ...] = field(init=False, repr=False, eq=False)

    @_phrases.default
    def _compiled(self) -> tuple[tuple[re.Pattern[str], Table], ...]:
        entries = self.dictionary.phrases.values()
        return tuple((re.compile("|".join(entry["match"]), re.IGNORECASE), entry) for entry in entries)

    def advice(self, reply: Reply, ours: bool = False) -> Advice:
        """``ours``: it is our own server that says so, so where its administrator must act, that is ours."""
        entry = self._phrase(str(reply)) or self._status(reply.status) or self._code(reply)
        exact = entry is not None
        if entry is None:
            entry = self.dictionary.commands[ANY][reply.full_status[0]]
        temporary = reply.full_status.startswith("4")
        act = self.dictionary.acts["acts"][(temporary and entry.get("deferred")) or entry["act"]]
        if ours and act["who"] == THEY:
            act = self.dictionary.acts["acts"][_OURS]
        language = self.dictionary.language
        happened = self._sentence(entry[language])
        return Advice(happened, act["who"], act[language], entry["rfc"], act.get("now", False), exact)

    def who(self, who: str) -> str:
        sentence: str = self.dictionary.acts["who"][who][self.dictionary.language]
        return sentence

    def _phrase(self, text: str) -> Table | None:
        """By the server's own words. Not by those in an address, which anybody can have chosen."""
        words = _ADDRESS.sub("<>", text[:MAX_TEXT])
        return next((entry for pattern, entry in self._phrases if pattern.search(words)), None)

    def _status(self, status: str) -> Table | None:
        """The very code, if it says something; else what it is about."""
        _, _, detail = status.partition(".")
        subject = detail.partition(".")[0]
        found: Table | None = self.dictionary.status.get(detail) or self.dictionary.status.get(f"{subject}.0")
        return found

    def _code(self, reply: Reply) -> Table | None:
        found: Table | None = self.dictionary.commands[ANY].get(str(reply.code))
        return found if found and "act" in found else None

    def _sentence(self, text: str) -> str:
        language = self.dictionary.language
        return text if text.endswith((".", "。")) else f"{text[0].upper()}{text[1:]}{_END[language]}"
