"""The dictionary of the package, in each language."""

from __future__ import annotations

import tomllib
from datetime import UTC
from pathlib import Path
from typing import Any

from mailstack import message
from mailstack.message.advice import Adviser
from mailstack.message.explain import LANGUAGES, TABLES, Dictionary
from mailstack.message.voice import Voice
from mailstack.queue.wording import read_voice

FOLDER = Path(str(message.__file__)).parent / "meaning"

DATA: dict[str, dict[str, Any]] = {name: tomllib.loads((FOLDER / f"{name}.toml").read_text("utf-8")) for name in TABLES}

DICTIONARIES = {language: Dictionary(**DATA, language=language) for language in LANGUAGES}
ENGLISH, CHINESE = DICTIONARIES["en"], DICTIONARIES["zh"]
ADVISERS = {language: Adviser(dictionary) for language, dictionary in DICTIONARIES.items()}

#: How letters of ours speak, by the clock of Greenwich.
VOICES: dict[str, Voice] = {language: read_voice(language, None, lambda time: UTC).voice for language in LANGUAGES}
