"""What POP3 says to people: everything in both languages, and nothing that is in no table."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailstack.accounts import login, tries
from mailstack.model.reply import Reply
from mailstack.protocol.pop3_commands import VERBS
from mailstack.protocol.pop3_events import Response, err, ok, refusal
from mailstack.protocol.pop3_texts import LANGUAGES, TEXTS, language_for

ROOT = Path(__file__).parents[2] / "mailstack"
SPEAKERS = sorted([*ROOT.glob("protocol/pop3*.py"), *ROOT.glob("server/pop3*.py"), ROOT / "server/maildrop.py"])
BRACES = re.compile(r"\{(\w+)\}")
LONGEST_CODE = "[LOGIN-DELAY]"
#: Names of texts that are put together, or stand in a table.
COMPUTED = {f"usage-{verb.decode()}" for verb in VERBS if verb != b"APOP"} | {verb.early for verb in VERBS.values()}


def calls() -> Iterator[ast.Call]:
    """All of ok() and err()."""
    for path in SPEAKERS:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("ok", "err", "_listed"):
                yield node


@pytest.mark.parametrize("key", TEXTS)
def test_every_text_is_there_in_both_languages(key: str) -> None:
    """RFC 2449 §3, §8; RFC 6856 §3.2: ASCII before LANG."""
    text = TEXTS[key]
    assert set(text) == {"en", "zh"}
    assert text["en"].isascii() and not text["zh"].isascii()
    assert sorted(BRACES.findall(text["en"])) == sorted(BRACES.findall(text["zh"]))
    for words in text.values():
        assert words.isprintable() and words.strip() == words and not words.startswith("[")
        assert len(f"-ERR {LONGEST_CODE} {words}\r\n".encode()) <= 512 - 100  # for the facts


def test_what_is_said_is_in_the_table_and_the_table_is_said() -> None:
    said = {
        constant.value
        for call in calls()
        for argument in call.args[:1]
        for constant in ast.walk(argument)
        if isinstance(constant, ast.Constant) and isinstance(constant.value, str) and " " not in constant.value
    }
    from_accounts = {key for key, text in TEXTS.items() if text["en"] in {reply.text for reply in accounts_replies()}}
    assert len(said) > 20
    assert said - {"", "usage-"} <= TEXTS.keys()
    assert TEXTS.keys() - said - COMPUTED == from_accounts


def accounts_replies() -> Iterator[Reply]:
    for module in (login, tries):
        yield from (value for value in vars(module).values() if isinstance(value, Reply))


def test_replies_of_the_accounts_are_translated() -> None:
    replies = list(accounts_replies())
    assert len(replies) > 3
    for reply in replies:
        assert not refusal(reply.text, "AUTH").line("zh").isascii(), reply.text


def test_words_that_nobody_knows_are_said_as_they_are() -> None:
    assert refusal("Come back on Monday", "SYS/TEMP").line("zh") == b"-ERR [SYS/TEMP] Come back on Monday\r\n"


def test_facts_stand_where_the_text_has_them() -> None:
    said = ok("messages", count=2, octets=320)
    assert said.line() == b"+OK 2 messages (320 octets)\r\n"
    assert said.line("zh").decode().startswith("+OK 2 封邮件")
    assert err("in-use", "IN-USE").line("zh").startswith(b"-ERR [IN-USE] ")
    assert Response(True).line() == b"+OK\r\n"


@pytest.mark.parametrize(
    ("wanted", "tag"),
    [
        ("en", "en"),
        ("EN-gb", "en"),
        ("zh-Hans-CN", "zh"),
        ("zh-x-pinyin", "zh"),
        ("i-default", "i-default"),
        ("*", "zh"),
        ("de", None),
        ("i", None),
        ("", None),
        ("-", None),
        ("x-en", None),
        ("*-CN", None),
    ],
)
def test_language_ranges(wanted: str, tag: str | None) -> None:
    """RFC 4647 §3.4."""
    assert language_for(wanted, "zh") == tag


def test_every_language_has_texts() -> None:
    for row in LANGUAGES.values():
        assert all(row["texts"] in text for text in TEXTS.values())
