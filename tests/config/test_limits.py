"""The table of limits and mail.ini say the same."""

from __future__ import annotations

import re
from pathlib import Path

import attrs

from mailstack.config.limits import LIMITS
from mailstack.config.reader import load
from mailstack.config.settings import Limits

SHIPPED = Path(__file__).parent.parent.parent / "etc/mail.ini"


def test_every_limit_of_mail_ini_has_its_row() -> None:
    """And a name is there once."""
    names = [limit.name for limit in LIMITS]
    assert {field.name for field in attrs.fields(Limits)} <= set(names)
    assert len(names) == len(set(names))


def test_anchors_are_those_of_the_comments() -> None:
    """What others have is written twice, for people and for the command: alike."""
    comments = dict(re.findall(r"^#.*\(([^()]*)\)\n(\w+) =", SHIPPED.read_text(), re.MULTILINE))
    comments = {key: comment for comment, key in comments.items()}
    assert {
        limit.name: limit.anchor for limit in LIMITS if limit.name in comments and comments[limit.name] != limit.anchor
    } == {}
    assert {field.name for field in attrs.fields(Limits)} <= set(comments)


def test_values_come_from_the_settings() -> None:
    found = {limit.name: limit.value(load(SHIPPED)) for limit in LIMITS}
    assert found["message_size"] == 25 * 1024 * 1024
    assert found["free_space"] == 37.5 * 1024 * 1024
    assert found["command_timeout"] == 300
    assert found["received"] == 50
