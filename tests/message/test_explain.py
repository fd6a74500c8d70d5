"""The dictionary of commands and replies: all that can be said has a meaning, in every language."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mailstack
from mailstack.intake.greeting import EXTENSIONS
from mailstack.message.explain import ANY, LANGUAGES, Dictionary
from mailstack.protocol.smtp_commands import PARSERS
from tests.message.meanings import CHINESE, DATA, DICTIONARIES, ENGLISH

#: Where replies to clients are made.
OURS = ("accounts", "intake", "protocol", "server")
#: Codes that only other servers say to us.
THEIRS = {"protocol/smtp_client.py", "protocol/smtp_opening.py", "protocol/smtp_transaction.py"}
#: Details that mean nothing more than the reply's own meaning.
PLAIN_STATUS = {"", "0.0"}

CHINESE_LETTER = re.compile("[\u4e00-\u9fff]")
SECTION = re.compile(
    r"RFC [0-9]+( §[0-9]+(\.[0-9]+)*(, §[0-9.]+)?| [A-Z]\.[0-9]+)?(, RFC .*)?"
    r"|draft-\S+|MS-SMTPNTLM|Postfix XCLIENT_README|IANA SMTP Enhanced Status Codes"
    r"|Microsoft 365|Microsoft: [\w., -]+|Yahoo: [\w ]+|https://\S+|mailstack \w+ \w+"
)


def entries(table: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, str]]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield f"{path}/{key}", {name: text for name, text in value.items() if isinstance(text, str)}
            yield from entries(value, f"{path}/{key}")


ENTRIES = list(entries(DATA["commands"])) + list(entries(DATA["keywords"])) + list(entries(DATA["status"]))
ENTRIES += entries(DATA["phrases"])


def replies() -> Iterator[tuple[str, int, str]]:
    """File, code and enhanced code of every reply that stands in the program."""
    root = Path(str(mailstack.__file__)).parent
    for path in (each for layer in OURS for each in sorted((root / layer).glob("*.py"))):
        name = path.relative_to(root).as_posix()
        if name in THEIRS:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Reply":
                code, status = (getattr(each, "value", None) for each in node.args[:2])
                if isinstance(code, int):
                    yield name, code, status if isinstance(status, str) else ""


@pytest.mark.parametrize(("path", "entry"), ENTRIES, ids=[path for path, _ in ENTRIES])
def test_every_entry_is_complete(path: str, entry: dict[str, str]) -> None:
    """Each language, one line, and a source that can be looked up."""
    assert set(entry) - {"act", "deferred"} == {*LANGUAGES, "rfc"}
    assert SECTION.fullmatch(entry["rfc"])
    assert CHINESE_LETTER.search(entry["zh"])
    assert not CHINESE_LETTER.search(entry["en"])
    for language in LANGUAGES:
        assert entry[language].strip() == entry[language] != ""
        assert entry[language].isprintable()


@pytest.mark.parametrize("verb", PARSERS)
def test_every_command_has_a_meaning(verb: str) -> None:
    for dictionary in DICTIONARIES.values():
        assert dictionary.verb(f"{verb.lower()} x") == verb
        assert dictionary.command(verb).text


def test_every_code_that_is_answered_has_a_meaning() -> None:
    """One of its own, not only that of its first digit."""
    found = list(replies())
    assert len(found) > 30
    assert {code for _, code, _ in found if str(code) not in DATA["commands"][ANY]} == set()


def test_every_enhanced_code_that_is_answered_has_a_meaning() -> None:
    details = {status.partition(".")[2] for _, _, status in replies()} - PLAIN_STATUS
    assert {detail for detail in details if detail not in DATA["status"]} == set()


def test_every_extension_has_a_meaning() -> None:
    for keyword, _ in EXTENSIONS:
        for dictionary in DICTIONARIES.values():
            assert dictionary.keyword(keyword) is not None, keyword


def test_a_reply_to_a_command() -> None:
    """The command's own meaning of the code comes first, then the general one; the enhanced code is added."""
    assert ENGLISH.reply("RCPT", 250, "2.1.5").text.endswith("2.1.5: the address is valid.")
    assert ENGLISH.reply("RCPT", 250).source == "RFC 5321 §3.3"
    assert ENGLISH.reply("NOOP", 500).text.startswith("The server does not know this command")
    assert ENGLISH.reply("NOOP", 499, "4.99.99") == ENGLISH.reply("unknown", 498)


def test_a_code_with_its_enhanced_code_may_have_a_meaning_of_its_own() -> None:
    assert ENGLISH.reply("RCPT", 550, "5.7.1").text.startswith("Relaying refused")
    assert ENGLISH.reply("RCPT", 550, "5.2.1").text.startswith("The server takes no mail for this recipient")
    assert ENGLISH.reply("NOOP", 421, "4.3.2").text.startswith("The server is being stopped")


def test_other_success_is_nothing_to_talk_about() -> None:
    assert ENGLISH.reply("MAIL", 250, "2.1.0") == ENGLISH.reply("MAIL", 250)
    assert ENGLISH.reply("MAIL", 451, "4.3.0") != ENGLISH.reply("MAIL", 451)


def test_words_of_a_command() -> None:
    meaning = ENGLISH.command("MAIL", "MAIL FROM:<> size=1234 BODY=8BITMIME 250 XYZZY=1")
    for words in ("The client begins a message", "The null sender", "SIZE: how many", "BODY: whether"):
        assert words in meaning.text
    assert meaning.source == "RFC 5321 §4.1.1.2, RFC 5321 §4.5.5, RFC 1870 §6, RFC 6152 §3"


def test_chinese() -> None:
    meaning = CHINESE.reply("RCPT", 452, "4.2.2")
    assert meaning.text == "服务器暂时没有空间接收给这个收件人的邮件；稍后再试。4.2.2：邮箱已满。"  # noqa: RUF001
    assert meaning.source == "RFC 5321 §4.2.3, RFC 3463 §3.3"


def test_every_word_is_there_in_each_language() -> None:
    for table in DATA["words"].values():
        for name, entry in table.items():
            assert set(entry) == set(LANGUAGES)
            assert entry["en"] == name
            assert entry["zh"].count("{}") == name.count("{}")
            assert name == "TLS" or CHINESE_LETTER.search(entry["zh"])


def test_words_around_a_dialogue() -> None:
    assert (ENGLISH.label("Queue ids"), CHINESE.label("Queue ids")) == ("Queue ids:", "队列号：")  # noqa: RUF001
    assert (CHINESE.value("lost"), CHINESE.value("QUIT"), CHINESE.value("192.0.2.7")) == ("断开", "QUIT", "192.0.2.7")
    assert ENGLISH.note("(message, 1,261 octets)") == "(message, 1,261 octets)"
    assert CHINESE.note("(message, 1,261 octets)") == "（邮件，1,261 字节）"  # noqa: RUF001
    assert CHINESE.note("(end of the connection)") == "（连接结束）"  # noqa: RUF001
    assert CHINESE.note("(TLSv1.3 with cipher X)") == "(TLSv1.3 with cipher X)"


@pytest.mark.parametrize("line", ["XYZZY", "message", "any", "", "250"])
def test_what_is_no_command(line: str) -> None:
    assert ENGLISH.verb(line) == "unknown"


def test_an_unknown_language() -> None:
    with pytest.raises(ValueError, match="tlh"):
        Dictionary({}, {}, {}, {}, {}, {}, "tlh")
