"""What a reply means for the sender: of all that our program and the registry know, in each language."""

from __future__ import annotations

import ast
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import mailstack
from mailstack.message.advice import NOBODY, THEY, US, WHO, YOU, Adviser
from mailstack.message.explain import ANY, LANGUAGES
from mailstack.model.reply import Reply
from tests.message.meanings import ADVISERS, DATA
from tests.message.test_explain import CHINESE_LETTER

ACTS = DATA["acts"]["acts"]
ENGLISH = ADVISERS["en"]
#: RFC 3463 and what has been registered since, by subject: how many details there are, from 0 on.
REGISTRY = {1: 10, 2: 4, 3: 6, 4: 7, 5: 6, 6: 10, 7: 30}


def emitted() -> Iterator[tuple[str, Reply]]:
    """Every reply that stands in the program, with as much of its text as stands there."""
    root = Path(str(mailstack.__file__)).parent
    for path in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Reply" and len(node.args) == 3:
                code, status = (getattr(each, "value", None) for each in node.args[:2])
                if isinstance(code, int) and code and isinstance(status, str):
                    yield f"{path.relative_to(root)}:{node.lineno}", Reply(code, status, "")


EMITTED = list(emitted())


def test_every_status_that_we_emit_has_advice() -> None:
    """More than what its first digit says; and a code of ours is known also where the status says nothing."""
    assert len(EMITTED) > 100
    vague = [f"{where} {reply}" for where, reply in EMITTED if not ENGLISH.advice(reply).exact]
    assert vague == []
    known = DATA["status"]
    assert {reply.status for _, reply in EMITTED if reply.status[2:] not in {*known, "", "0.0"}} == set()
    assert {reply.code for _, reply in EMITTED if "act" not in DATA["commands"][ANY].get(str(reply.code), {})} == set()


def test_whole_registry_is_known() -> None:
    for subject, last in REGISTRY.items():
        assert [
            f"{subject}.{detail}" for detail in range(last + 1) if f"{subject}.{detail}" not in DATA["status"]
        ] == []


@pytest.mark.parametrize("table", ["status", "phrases"])
def test_every_entry_names_an_act(table: str) -> None:
    for name, entry in DATA[table].items():
        assert entry["act"] in ACTS, name
        assert entry.get("deferred", entry["act"]) in ACTS, name


def test_every_act_and_who_is_there_in_each_language() -> None:
    assert set(DATA["acts"]["who"]) == set(WHO)
    for name, entry in [*ACTS.items(), *DATA["acts"]["who"].items()]:
        assert set(entry) - {"who", "now"} == set(LANGUAGES), name
        assert CHINESE_LETTER.search(entry["zh"]) and not CHINESE_LETTER.search(entry["en"]), name
        assert entry["en"].endswith((".", "?")) and entry["zh"].endswith(("。", "？"))  # noqa: RUF001
        assert all(entry[language].isprintable() for language in LANGUAGES)
    assert {entry["who"] for entry in ACTS.values()} <= set(WHO)


def test_every_act_is_of_use() -> None:
    """Nothing is left that no entry names, but what our own code does."""
    tables = [*DATA["status"].values(), *DATA["phrases"].values(), *DATA["commands"][ANY].values()]
    named = {entry[key] for entry in tables if isinstance(entry, dict) for key in ("act", "deferred") if key in entry}
    assert set(ACTS) - named == set()


@pytest.mark.parametrize(
    ("reply", "who", "words"),
    [
        (Reply(550, "5.1.1", ""), YOU, "no such mailbox"),
        (Reply(552, "5.2.2", ""), "recipient", "mailbox is full"),
        (Reply(552, "5.3.4", ""), YOU, "bigger than the server takes"),
        (Reply(550, "5.7.999", ""), YOU, "security matter"),
        (Reply(550, "5.0.0", ""), YOU, "no such mailbox, or a rule"),
        (Reply(550, "", ""), YOU, "no such mailbox, or a rule"),
        (Reply(556, "5.1.10", ""), YOU, "takes no mail"),
        (Reply(0, "5.4.6", ""), US, "in a circle"),
        (Reply(250, "2.0.0", ""), NOBODY, "Done"),
        (Reply(554, "5.7.1", "Client host [192.0.2.7] blocked using zen.spamhaus.org"), US, "Spamhaus"),
        (Reply(550, "5.7.1", "Client host blocked using bl.example.net"), US, "on a blocklist"),
        (Reply(550, "5.7.26", "Unauthenticated email from x is refused due to domain's DMARC policy"), US, "DMARC"),
        (Reply(550, "5.7.1", "SPF check failed"), US, "SPF"),
        (Reply(451, "4.7.1", "Greylisting in action, please come back later"), YOU, "greylisting"),
        (Reply(552, "5.7.0", "blocked because its content presents a potential security issue"), YOU, "attachment"),
        (Reply(554, "5.6.1", "This file type (.exe) is not allowed"), YOU, "attachment"),
        (Reply(452, "4.2.2", "The account that you tried to reach is over quota"), "recipient", "mailbox is full"),
        (Reply(421, "4.7.28", "Our system has detected an unusual rate of mail"), YOU, "too much mail at once"),
        (Reply(550, "", "Connection frequency limited"), YOU, "too much mail at once"),
        (Reply(554, "", "DT:SPM 163 smtp1"), YOU, "NetEase"),
        (Reply(550, "5.7.1", "Our system has detected that this message is likely unsolicited mail"), YOU, "for spam"),
        (Reply(550, "5.4.1", "Recipient address rejected: Access denied"), YOU, "no such mailbox"),
        (Reply(550, "5.1.1", "User unknown"), YOU, "no such mailbox"),
        (Reply(554, "5.7.1", "<a@b>: Relay access denied"), YOU, "relaying denied"),
        (Reply(450, "4.7.25", "cannot find your hostname"), US, "PTR"),
        (Reply(0, "", "收件人邮箱空间已满"), "recipient", "mailbox is full"),
        (Reply(550, "5.7.30", "REQUIRETLS support required"), YOU, "REQUIRETLS"),
        (Reply(550, "5.7.606", "Access denied, banned sending IP [192.0.2.7]"), US, "Microsoft blocks"),
        (Reply(554, "5.7.0", "Returned by the administrator: not now"), YOU, "administrator of the sending server"),
    ],
    ids=str,
)  # fmt: skip
def test_advice(reply: Reply, who: str, words: str) -> None:
    """The server's own words first, then the exact status, its subject, the code."""
    found = ENGLISH.advice(reply)
    assert found.exact and found.who == who
    assert words in found.happened
    chinese = ADVISERS["zh"].advice(reply)
    assert (chinese.who, chinese.source, chinese.now) == (found.who, found.source, found.now)
    assert CHINESE_LETTER.search(chinese.happened) and CHINESE_LETTER.search(chinese.act)


@pytest.mark.parametrize(("reply", "first"), [(Reply(599, "", "?"), "5"), (Reply(0, "4.9.9", "?"), "4")])
def test_what_nobody_knows_is_told_by_its_first_digit(reply: Reply, first: str) -> None:
    found = ENGLISH.advice(reply)
    assert not found.exact
    assert found.happened == DATA["commands"][ANY][first]["en"]


def test_words_in_an_address_are_nobodys_verdict() -> None:
    for address in ("<spamhaus.greylist@virus.example>", "dmarc@spf.example", "<blocklist@x.test>:"):
        assert "no such mailbox" in ENGLISH.advice(Reply(550, "5.1.1", f"{address} is out")).happened


def test_what_is_theirs_elsewhere_is_ours_here() -> None:
    reply = Reply(451, "4.3.0", "The Maildir cannot be written")
    assert ENGLISH.advice(reply).who == THEY
    assert ENGLISH.advice(reply, ours=True).who == US
    assert ENGLISH.advice(Reply(550, "5.1.1", ""), ours=True).who == YOU


def test_sentences() -> None:
    for table in (DATA["status"], DATA["phrases"]):
        for entry in table.values():
            for language, stops in (("en", "."), ("zh", "。")):
                assert not entry[language].endswith(stops), "that is added"
    assert ENGLISH.advice(Reply(550, "5.1.1", "")).happened.endswith("domain.")
    assert ADVISERS["zh"].advice(Reply(550, "5.1.1", "")).happened.endswith("。")


def test_patterns_are_data_that_can_be_trusted() -> None:
    """Each compiles alone, and none repeats without a bound what can be long."""
    for name, entry in DATA["phrases"].items():
        for pattern in entry["match"]:
            re.compile(pattern)
            assert not re.search(r"\.[*+]|\)[*+]|\][*+](?!dq)", pattern), f"{name}: {pattern}"


@pytest.mark.parametrize(
    "piece", ["a ", "domain ", "user not ", "mail box ", "exceeded ", "收件人", "size ", "<a@", "a" * 64]
)
def test_hostile_words_take_no_time(piece: str) -> None:
    adviser = Adviser(ENGLISH.dictionary)
    start = time.process_time()
    adviser.advice(Reply(550, "5.7.1", piece * (20_000 // len(piece))))
    assert time.process_time() - start < 1
