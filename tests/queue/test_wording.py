"""The site's own texts: what is wrong with them is told, and costs no letter."""

from __future__ import annotations

from datetime import UTC, timedelta
from pathlib import Path

import pytest

from mailstack.message.explain import LANGUAGES
from mailstack.message.template import MAX_OCTETS, TEMPLATES
from mailstack.queue.wording import Voices, local_zone, read_templates, read_voice
from tests.fakes import ListLog

OURS = {language: read_templates(language) for language in LANGUAGES}


def write(folder: Path, **texts: str | bytes) -> Path:
    """Files, by ``failure_en``."""
    for name, text in texts.items():
        octets = text.encode() if isinstance(text, str) else text
        (folder / f"{name.replace('_', '.')}.txt").write_bytes(octets)
    return folder


@pytest.mark.parametrize("language", LANGUAGES)
def test_ours_are_complete(language: str) -> None:
    """Every letter has a text and a subject in every language; the closing stands at the end of others."""
    assert set(OURS[language]) == set(TEMPLATES)
    for name, text in OURS[language].items():
        assert text.body.strip()
        assert bool(text.subject) == (name != "closing")


def test_languages_follow_each_other() -> None:
    assert [each.language for each in read_voice("en", None).voice.wordings] == ["en"]
    assert [each.language for each in read_voice("zh", None).voice.wordings] == ["zh", "en"]


def test_own_text_is_in_the_place_of_ours(tmp_path: Path) -> None:
    found = read_voice(
        "zh", write(tmp_path, failure_zh="Subject: 坏消息\n\n{recipients}\n", delay_en="{recipients}\nSo.")
    )
    chinese, english = found.voice.wordings
    assert chinese.templates["failure"].subject == "坏消息"
    assert english.templates["delay"].body == "{recipients}\nSo."
    assert english.templates["delay"].subject == OURS["en"]["delay"].subject, "none is given, so ours"
    assert chinese.templates["delay"] == OURS["zh"]["delay"]
    assert found.problems == ()
    assert found.replaced == ("delay.en.txt", "failure.zh.txt")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{recipients}\n{recipient}", "line 2: there is no {recipient} here; there are {subject}, {sent}"),
        ("Hello", "{recipients} is missing"),
        ("To {recipients}", "line 1: {recipients} has to have a line of its own"),
        (b"{recipients}\n\xff", "line 2: octet 0xff is not UTF-8"),
        ("{recipients}\n\x1b[2J", "line 2: there is a control character"),
        (b"x" * (MAX_OCTETS + 1), "it has more than 64 KiB"),
        ("Subject: x\n", "{recipients} is missing"),
        ("", "it is empty"),
    ],
)
def test_broken_text(tmp_path: Path, text: str | bytes, problem: str) -> None:
    found = read_voice("en", write(tmp_path, failure_en=text))
    (told,) = found.problems
    assert told.startswith(f"{tmp_path}/failure.en.txt: ") and problem in told
    assert found.voice.wordings[0].templates["failure"] == OURS["en"]["failure"]
    assert found.replaced == ()


def test_what_follows_may_be_emptied(tmp_path: Path) -> None:
    found = read_voice("zh", write(tmp_path, failure_en=""))
    assert found.problems == ()
    assert [each.language for each in found.voice.texts("failure")] == ["zh"]
    assert found.voice.languages("failure") == "zh" and found.voice.languages("delay") == "zh, en"


def test_names_that_no_template_has(tmp_path: Path) -> None:
    """A file that nobody reads would be a riddle; what editors leave behind is none."""
    write(tmp_path, failur_en="{recipients}", failure_de="{recipients}")
    for name in (".failure.en.txt.swp", "failure.en.txt~"):
        (tmp_path / name).write_text("")
    (tmp_path / "closing.en.txt").mkdir()
    problems = read_voice("en", tmp_path).problems
    assert len(problems) == 3
    assert "closing.en.txt: Is a directory; our own is used" in problems[0]
    assert "there are failure, delay" in problems[1]


def test_folder_that_is_not_there(tmp_path: Path) -> None:
    found = read_voice("en", tmp_path / "none")
    assert found.problems == (f"{tmp_path}/none: No such file or directory; our own templates are used",)
    assert found.voice.wordings[0].templates == OURS["en"]


def test_they_are_read_again(tmp_path: Path) -> None:
    log = ListLog()
    voices = Voices("en", tmp_path, log)
    write(tmp_path, closing_en="Yours, {hostname}")
    voices.load()
    assert voices.voice.wordings[0].templates["closing"].body == "Yours, {hostname}" and not log.warnings
    write(tmp_path, closing_en="Yours, {host}")
    voices.load()
    assert voices.voice.wordings[0].templates["closing"] == OURS["en"]["closing"]
    assert "there is no {host} here" in str(log.warnings)


def test_zone_of_this_machine() -> None:
    offset = local_zone(1e9).utcoffset(None) or timedelta()
    assert abs(offset) < timedelta(days=1)
    assert local_zone(1e9) is not None and UTC is not None
