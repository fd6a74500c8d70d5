"""A dialogue with what each line of it means."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from mailstack.message.explain import ANY, GREETING, HIDDEN, LONG, MESSAGE, RESPONSE, Dictionary, Meaning
from mailstack.model.transcript import CLIENT, SERVER, Spoken

#: RFC 5321 §4.2.1, RFC 3463 §2.
_REPLY = re.compile(r"([2-5][0-9]{2})([ -])(?:([245]\.[0-9]{1,3}\.[0-9]{1,3})(?: |\Z))?(.*)", re.DOTALL)
_FURTHER_CHALLENGE = "334"


class Commentary:
    """Goes through one session; what a line means depends on what came before it."""

    def __init__(self, dictionary: Dictionary) -> None:
        self._dictionary = dictionary
        self._verb = GREETING  #: that the next reply answers
        self._asked = False  #: for a piece of a log-in
        self._number = 0  #: of the line in its reply
        self._last_piece = True  #: of the message
        self._told: set[str] = set()  #: extensions: after STARTTLS most come again

    def lines(self, spoken: Iterable[Spoken]) -> Iterator[tuple[Spoken, Meaning | None]]:
        for line in spoken:
            if line.who == CLIENT:
                yield line, self._command(line.text)
            else:
                yield line, self._reply(line.text) if line.who == SERVER else None

    def _command(self, text: str) -> Meaning:
        if text == "***" and self._asked:
            self._verb = "AUTH"
            return self._dictionary.command(RESPONSE)
        if text.startswith("(message"):
            if self._last_piece:
                self._verb = MESSAGE
            return self._dictionary.command(MESSAGE)
        self._verb = HIDDEN if text == "***" else LONG if text.startswith("(") else self._dictionary.verb(text)
        self._last_piece = self._verb != "BDAT" or text.upper().endswith(" LAST")
        return self._dictionary.command(self._verb, text)

    def _keyword(self, line: str) -> Meaning | None:
        """Once."""
        word = line.partition(" ")[0].upper()
        if word in self._told:
            return None
        self._told.add(word)
        return self._dictionary.keyword(line)

    def _reply(self, text: str) -> Meaning | None:
        found = _REPLY.match(text)
        if found is None:
            return None
        code, more, status, rest = found.groups()
        number, self._number = self._number, self._number + 1 if more == "-" else 0
        self._asked = code == _FURTHER_CHALLENGE
        if self._verb == "EHLO" and number:
            return self._keyword(rest)
        if more == "-" and self._verb != "EHLO":
            return None
        verb = self._verb
        if verb == GREETING:
            # From here on the server speaks of itself when nothing was asked.
            self._verb = ANY
        return self._dictionary.reply(verb, int(code), status or "")
