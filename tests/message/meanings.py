"""The dictionary of the package, in each language."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from mailstack import message
from mailstack.message.explain import LANGUAGES, TABLES, Dictionary

FOLDER = Path(str(message.__file__)).parent / "meaning"

DATA: dict[str, dict[str, Any]] = {name: tomllib.loads((FOLDER / f"{name}.toml").read_text("utf-8")) for name in TABLES}

DICTIONARIES = {language: Dictionary(**DATA, language=language) for language in LANGUAGES}
ENGLISH, CHINESE = DICTIONARIES["en"], DICTIONARIES["zh"]
