"""Sentences in the language of whoever reads them; they are data, as those of :mod:`.explain`."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

#: Kind, name, language.
Table = Mapping[str, Mapping[str, Mapping[str, str]]]


@frozen
class Phrases:
    table: Table
    language: str

    def say(self, kind: str, name: str, /, **facts: object) -> str:
        """The sentence with the facts where it names them."""
        return self.table[kind][name][self.language].format(**facts)
