"""What the POP3 server says to people, by key and language: ``pop3_replies.toml``. RFC 6856 §3."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib import resources

_FILE = tomllib.loads((resources.files("mailstack.protocol") / "pop3_replies.toml").read_text("utf-8"))

#: By key, then by language; facts stand in braces.
TEXTS: Mapping[str, Mapping[str, str]] = _FILE["texts"]

#: By language tag: its ``name`` in itself, and in which language of TEXTS its ``texts`` are.
LANGUAGES: Mapping[str, Mapping[str, str]] = _FILE["languages"]

PLAIN = "en"  #: what is said before LANG: ASCII

_BY_ENGLISH = {text["en"]: key for key, text in TEXTS.items()}


def key_of(english: str) -> str | None:
    """The key of a text that another part gave in English; None: it is in no table."""
    return _BY_ENGLISH.get(english)


def language_for(wanted: str, preferred: str) -> str | None:
    """The tag of LANGUAGES that a basic language range asks for; ``*`` is for what the administrator prefers.

    RFC 4647 §3.4 (lookup): ``zh-Hans-CN`` gets ``zh``, or Windows programs, which know no ``zh``, would get nothing.
    """
    if wanted == "*":
        return preferred
    subtags = wanted.lower().split("-")
    while subtags:
        tag = "-".join(subtags)
        if tag in LANGUAGES:
            return tag
        subtags.pop()
        if subtags and len(subtags[-1]) == 1:  # what was taken away belonged to it
            subtags.pop()
    return None
