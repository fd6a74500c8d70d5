"""What may stand behind the address in MAIL and RCPT: ``KEYWORD=value``. RFC 5321 §4.1.1.11."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from attrs import frozen

from mailstack.model.hold import Hold
from mailstack.model.letter import DELAY, FAILURE, NEVER, SUCCESS, Notify
from mailstack.model.reply import Reply
from mailstack.model.xtext import envelope_id, original_recipient


class BadParameter(ValueError):
    """``reply`` says what is wrong."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.reply = Reply(code, "5.5.4", text)


@frozen
class Parameter:
    """``field`` is that of the event, "" when nobody needs the value. ``parse`` raises ValueError for a wrong one.

    Of two with one field a command may have one.
    """

    field: str
    parse: Callable[[str], object]
    utf8: bool = False  #: the value may have characters above ASCII

    def read(self, value: str) -> object:
        if not (self.utf8 or value.isascii()):
            raise ValueError(value)
        return self.parse(value)


def values(parameters: Iterable[tuple[str, str]], known: Mapping[str, Parameter]) -> dict[str, object]:
    """By field of the event. BadParameter: unknown (555), twice or with a wrong value (501)."""
    found: dict[str, object] = {}
    seen: set[str] = set()
    for keyword, value in parameters:
        parameter = known.get(keyword)
        if parameter is None:
            raise BadParameter(555, f"Parameter {keyword[:40]} is not known")
        if keyword in seen:
            raise BadParameter(501, f"Parameter {keyword} stands there twice")
        seen.add(keyword)
        if parameter.field in found:
            raise BadParameter(501, f"Parameter {keyword} says again, in another way, what was said already")
        try:
            found[parameter.field] = parameter.read(value)
        except ValueError:
            raise BadParameter(501, f"Parameter {keyword} has a wrong value") from None
    found.pop("", None)
    return found


def _size(value: str) -> int:
    """RFC 1870 §3."""
    if not re.fullmatch(r"[0-9]{1,20}", value):
        raise ValueError(value)
    return int(value)


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value.upper() not in words:
            raise ValueError(value)
        return value.upper()

    return parse


def _flag(value: str) -> bool:
    """A keyword that takes no value."""
    if value:
        raise ValueError(value)
    return True


def _anything(value: str) -> str:
    if not value:
        raise ValueError(value)
    return value


def _notify(value: str) -> Notify:
    """RFC 3461 §4.1: ``NEVER``, or a list of the others."""
    words = [word.upper() for word in value.split(",")]
    if words != [NEVER] and not {SUCCESS, FAILURE, DELAY}.issuperset(words):
        raise ValueError(value)
    return frozenset(words)


MAIL: dict[str, Parameter] = {
    "SIZE": Parameter("size", _size),
    "BODY": Parameter("body", _one_of("7BIT", "8BITMIME")),
    # RFC 4954 §5: whom an upstream server vouches for; we trust nobody's word for it.
    "AUTH": Parameter("", _anything),
    "SMTPUTF8": Parameter("smtputf8", _flag),
    "REQUIRETLS": Parameter("require_tls", _flag),
    "RET": Parameter("ret", _one_of("FULL", "HDRS")),
    "ENVID": Parameter("envid", envelope_id),
    # RFC 4865 §3.
    "HOLDFOR": Parameter("hold", Hold.for_),
    "HOLDUNTIL": Parameter("hold", Hold.until_),
}
RCPT: dict[str, Parameter] = {
    "NOTIFY": Parameter("notify", _notify),
    "ORCPT": Parameter("orcpt", original_recipient, utf8=True),
}
