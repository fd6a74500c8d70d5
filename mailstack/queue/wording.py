"""The texts of our letters, read: the dictionary and the templates of the package, and those of the site."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, tzinfo
from functools import cache
from importlib import resources
from pathlib import Path

from attrs import evolve, frozen

from mailstack.interfaces.log import IEventLog
from mailstack.message.advice import Adviser
from mailstack.message.explain import LANGUAGES, TABLES, Dictionary
from mailstack.message.template import MAX_OCTETS, TEMPLATES, BadTemplate, Template, template
from mailstack.message.voice import FOLLOWED_BY, Voice, Wording

Zone = Callable[[float], tzinfo]


def local_zone(time: float) -> tzinfo:
    """That of this machine."""
    return datetime.fromtimestamp(time).astimezone().tzinfo or UTC


@cache
def read_dictionary(language: str) -> Dictionary:
    folder = resources.files("mailstack.message") / "meaning"
    tables = {name: tomllib.loads((folder / f"{name}.toml").read_text("utf-8")) for name in TABLES}
    return Dictionary(**tables, language=language)


def read_templates(language: str) -> dict[str, Template]:
    """Ours."""
    folder = resources.files("mailstack.message") / "templates"
    return {name: template(name, (folder / f"{name}.{language}.txt").read_bytes()) for name in TEMPLATES}


@frozen
class Found:
    """A voice that can be used, and what of the site's folder cannot."""

    voice: Voice
    replaced: tuple[str, ...]  #: names of the site's files that are in use
    problems: tuple[str, ...]


def read_voice(language: str, folder: Path | None, zone: Zone = local_zone) -> Found:
    """In this language, and in those that follow it. Never an error: what is wrong with the site's templates is among
    the problems, and ours are in their place."""
    problems: list[str] = []
    theirs = dict(_of_the_site(folder, problems)) if folder is not None else {}
    spoken = (language, *FOLLOWED_BY[language])
    for name, kind in [(name, kind) for name, kind in theirs if name == language]:
        if not theirs[name, kind].body.strip():
            problems.append(f"{folder}/{kind}.{name}.txt: it is empty, but nothing else is said in its place")
            del theirs[name, kind]
    wordings = tuple(_wording(each, theirs) for each in spoken)
    replaced = tuple(f"{kind}.{name}.txt" for name, kind in theirs if name in spoken)
    return Found(Voice(wordings, zone), replaced, tuple(problems))


def _wording(language: str, theirs: dict[tuple[str, str], Template]) -> Wording:
    templates = read_templates(language)
    for kind, ours in templates.items():
        own = theirs.get((language, kind))
        if own is not None:
            templates[kind] = evolve(own, subject=own.subject or ours.subject)
    return Wording(Adviser(read_dictionary(language)), templates)


def _of_the_site(folder: Path, problems: list[str]) -> Iterator[tuple[tuple[str, str], Template]]:
    """By language and name."""
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        problems.append(f"{folder}: {error.strerror}; our own templates are used")
        return
    for path in paths:
        kind, _, rest = path.name.partition(".")
        language = rest.removesuffix(".txt")
        if path.name.startswith(".") or path.name.endswith("~"):
            continue  # an editor's
        if kind not in TEMPLATES or language not in LANGUAGES or not rest.endswith(".txt"):
            names = f"{', '.join(TEMPLATES)}, each with .en.txt or .zh.txt"
            problems.append(f"{path}: no template has such a name; there are {names}")
            continue
        try:
            with path.open("rb") as file:
                yield (language, kind), template(kind, file.read(MAX_OCTETS + 1))
        except OSError as error:
            problems.append(f"{path}: {error.strerror}; our own is used")
        except BadTemplate as error:
            problems.append(f"{path}: {error}; our own is used")


class Voices:
    """The voice as it is now; :meth:`load` reads it anew."""

    def __init__(self, language: str, folder: Path | None, log: IEventLog, zone: Zone = local_zone) -> None:
        self._language = language
        self._folder = folder
        self._log = log
        self._zone = zone
        self.voice = read_voice(language, None, zone).voice

    def load(self) -> None:
        """What is wrong is logged, and costs no letter."""
        found = read_voice(self._language, self._folder, self._zone)
        self.voice = found.voice
        for problem in found.problems:
            self._log.warn("templates", what=problem)
