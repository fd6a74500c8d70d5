"""The texts of our letters to people: files with placeholders, ours or the site's.

A file begins with ``Subject: …`` and an empty line; both may be missing. Then paragraphs, which are filled anew; lines
that begin with a space stay as they are. ``{name}`` is a placeholder; of those that stand for several lines, each has
a line of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from attrs import frozen

from mailstack.message.filled import filled, joined

MAX_OCTETS = 64 * 1024  #: of a file

_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_MESSAGE = ("subject", "sent", "sender", "id", "hostname", "postmaster")
_RECIPIENTS = ("recipients",)

#: By name of the file: the placeholders for one line, and those for several, which have to be there.
TEMPLATES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "failure": (_MESSAGE, _RECIPIENTS),
    "delay": ((*_MESSAGE, "until"), _RECIPIENTS),
    "success": (_MESSAGE, _RECIPIENTS),
    "relayed": (_MESSAGE, _RECIPIENTS),
    "expanded": (_MESSAGE, _RECIPIENTS),
    "closing": (_MESSAGE, ()),
    "damage": (("number", "hostname", "postmaster"), ("letters",)),
    "excess": (("account", "recipients", "since", "command", "hostname", "postmaster"), ("clients",)),
}


class BadTemplate(ValueError):
    """Why a template cannot be used."""


@frozen
class Template:
    subject: str  #: "": none is given
    body: str

    def subject_with(self, values: Mapping[str, str]) -> str:
        return _replaced(self.subject, values)

    def body_with(self, values: Mapping[str, str]) -> str:
        """Without a line end at its end. Values for one line have none in them."""
        return "\n\n".join(_paragraph(each, values) for each in re.split(r"\n\s*\n", self.body) if each.strip())


def template(name: str, octets: bytes) -> Template:
    """A file of that name, understood. BadTemplate."""
    if len(octets) > MAX_OCTETS:
        raise BadTemplate(f"it has more than {MAX_OCTETS // 1024} KiB")
    try:
        text = octets.decode("utf-8-sig").replace("\r\n", "\n").expandtabs(4)
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        raise BadTemplate(f"line {line}: octet {octets[error.start]:#04x} is not UTF-8") from None
    _check(name, text)
    found = re.match(r"Subject:[ \t]*([^\n]*)(?:\n|\Z)", text)
    return Template(found[1].strip() if found else "", text[found.end() if found else 0 :].strip("\n"))


def _check(name: str, text: str) -> None:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.replace("\u3000", "").isprintable():
            raise BadTemplate(f"line {number}: there is a control character")
        _check_placeholders(name, number, line)
    missing = [f"{{{each}}}" for each in TEMPLATES[name][1] if text.strip() and f"{{{each}}}" not in text]
    if missing:
        raise BadTemplate(f"{', '.join(missing)} is missing")


def _check_placeholders(name: str, number: int, line: str) -> None:
    single, several = TEMPLATES[name]
    for word in _PLACEHOLDER.findall(line):
        if word in several and line.strip() != f"{{{word}}}":
            raise BadTemplate(f"line {number}: {{{word}}} has to have a line of its own, for it is several lines")
        if word not in (*single, *several):
            known = ", ".join(f"{{{each}}}" for each in (*single, *several))
            raise BadTemplate(f"line {number}: there is no {{{word}}} here; there are {known}")


def _paragraph(text: str, values: Mapping[str, str]) -> str:
    lines, flowing = [], list[str]()
    for line in text.strip("\n").split("\n"):
        block = _PLACEHOLDER.fullmatch(line.strip())
        if line[:1] == " " or (block and "\n" in values[block[1]]):
            lines += [filled(joined(flowing))] if flowing else []
            lines.append(_replaced(line, values).rstrip())
            flowing = []
        else:
            flowing.append(_replaced(line, values))
    return "\n".join([*lines, *([filled(joined(flowing))] if flowing else [])])


def _replaced(line: str, values: Mapping[str, str]) -> str:
    """In one go: what a value says is no placeholder."""
    return _PLACEHOLDER.sub(lambda found: values[found[1]], line)
