"""``mailstack explain``."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mailstack.admin.cli import main
from tests.message.test_bounce import EXPECTED, SAMPLES


def run(*words: str, given: bytes | None = None, **environment: str) -> Result:
    """Without any configuration."""
    environment = {"LC_ALL": "C.UTF-8", "MAILSTACK_CONFIG": "/nowhere/mail.ini", **environment}
    return CliRunner().invoke(main, ["explain", *words], input=given, env=environment)


@pytest.mark.parametrize("words", [["550", "5.1.1"], ["550 5.1.1"], ["550-5.1.1"], ["5.1.1"], ["#5.1.1"]])
def test_code(words: list[str]) -> None:
    done = run(*words)
    assert done.exit_code == 0
    assert "  What happened: There is no such mailbox at that domain.\n" in done.stdout
    assert "  Who must act: You, the sender.\n" in done.stdout
    assert "  What to do: Check the address" in done.stdout
    assert "  See also: RFC 3463 §3.2\n" in done.stdout


def test_what_is_tried_again_needs_nobody_yet() -> None:
    done = run("452", "4.2.2")
    assert "Who must act: Nobody for now: the server tries again by itself." in done.stdout
    assert "What to do: If it lasts: Only the recipient can make room" in done.stdout


def test_words() -> None:
    done = run("550 5.7.26 unauthenticated email from example.com", "--json")
    (found,) = json.loads(done.stdout)
    assert (found["code"], found["status"], found["who"], found["known"]) == (550, "5.7.26", "us", True)
    assert found["recipient"] is None and found["words"] == "unauthenticated email from example.com"


def test_words_without_a_code() -> None:
    assert "The mailbox is full." in run("Mailbox", "is", "full").stdout
    assert "The mailbox is full." in run("邮箱已满").stdout
    done = run("host mx.b.test[192.0.2.1] said: 550 5.1.1 unknown")
    assert "no such mailbox" in done.stdout


def test_unknown_code_is_told_honestly() -> None:
    for words in (["599"], ["5.99.99"]):
        done = run(*words)
        assert done.exit_code == 0
        assert "This code is not known; its first digit says so much: Refused" in " ".join(done.stdout.split())


def test_language() -> None:
    assert "原因：" in run("550", "--lang", "zh").stdout  # noqa: RUF001
    assert "由谁处理：您（发件人）。" in run("550", LC_ALL="zh_CN.UTF-8").stdout  # noqa: RUF001
    assert "What happened" in run("550", LC_ALL="de_DE.UTF-8").stdout


def test_samples_of_the_documents() -> None:
    text = (Path(__file__).parents[2] / "docs/reports.md").read_text("utf-8")
    samples = re.findall(r"^\$ mailstack explain ([^\n]*)\n((?:(?!\$|```).*\n)+)", text, re.MULTILINE)
    assert len(samples) == 2
    for words, answer in samples:
        assert run(*shlex.split(words)).stdout == answer


@pytest.mark.parametrize("name", EXPECTED)
def test_report(name: str) -> None:
    """From a file and from standard input."""
    by_file, by_pipe = run(str(SAMPLES / name), "--json"), run("-", "--json", given=(SAMPLES / name).read_bytes())
    assert by_file.exit_code == by_pipe.exit_code == 0
    assert by_file.stdout == by_pipe.stdout
    found = json.loads(by_file.stdout)
    assert [each["recipient"] for each in found] == list(EXPECTED[name])
    assert all(each["known"] for each in found)


def test_report_for_people() -> None:
    done = run(str(SAMPLES / "sendmail.eml"))
    assert "Recipient: <bob@example.com> (failed)\n  What happened: " in done.stdout
    assert "\n\nRecipient: <carol@example.org> (failed)\n" in done.stdout
    assert "  The answer: 550 5.1.1 <bob@example.com>... User unknown\n" in done.stdout
    assert "收件人：<bob@example.com>（投递失败）" in run(str(SAMPLES / "sendmail.eml"), "--lang", "zh").stdout  # noqa: RUF001


def test_report_that_does_not_say_why(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("<bob@b.test>:\nSomething odd\n")
    done = run(str(tmp_path / "x"))
    assert "No code is named, and the words are none that are known." in " ".join(done.stdout.split())
    assert "The answer: Something odd" in done.stdout


def test_nothing_reaches_the_terminal_that_could_steer_it(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(
        b"<bo\x1bb@b.test>: 550 5.1.1 \x1b[2J\x07 \xe2\x80\xae no\n<b\xe2\x80\xaeob@b.test>: 550 x\n"
    )
    done = run(str(tmp_path / "x"))
    assert done.exit_code == 0 and all(line.isprintable() for line in done.stdout.splitlines())


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["/nowhere/bounce.eml"], 64, "neither a code, such as 550 or 5.1.1, nor a file"),
        (["950"], 64, "neither a code"),
        ([], 64, "Missing argument"),
        (["550", "--lang", "tlh"], 64, "--lang"),
        (["how", "are", "you"], 1, "no code is in it"),
        (["-"], 1, "standard input: there is no report in it"),
        (["/"], 1, "Is a directory"),
    ],
)
def test_what_cannot_be_explained(words: list[str], code: int, said: str) -> None:
    done = run(*words, given=b"hello\n")
    assert done.exit_code == code
    assert said in done.stderr and not done.stdout
