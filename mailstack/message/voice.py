"""How our letters to people speak: in which languages, with whose texts, by whose clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import tzinfo

from attrs import frozen

from mailstack.message.advice import Adviser
from mailstack.message.explain import Dictionary
from mailstack.message.template import Template

#: What each language is followed by, for readers who do not know it.
FOLLOWED_BY = {"en": (), "zh": ("en",)}


@frozen
class Wording:
    """One language."""

    adviser: Adviser
    templates: Mapping[str, Template]  #: all of them, by name

    @property
    def dictionary(self) -> Dictionary:
        return self.adviser.dictionary

    @property
    def language(self) -> str:
        return self.dictionary.language


@frozen
class Voice:
    wordings: tuple[Wording, ...]  #: the first speaks first, and fully
    zone: Callable[[float], tzinfo]  #: of our own clock at a time, where the reader's is not known

    def texts(self, name: str) -> tuple[Wording, ...]:
        """Those that have something to say there: the site may have emptied what follows the first."""
        return tuple(each for each in self.wordings if each.templates[name].body.strip())

    def languages(self, name: str) -> str:
        """RFC 3282."""
        return ", ".join(each.language for each in self.texts(name))
