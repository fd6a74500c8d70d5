"""The documents name what exists, and commands that work."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from mailstack.admin.cli import main
from mailstack.config.options import options
from mailstack.config.reader import load
from mailstack.config.settings import Settings

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
README = (ROOT / "README.md").read_text("utf-8")

#: Every seam, with what it is derived from.
SEAMS: dict[str, str] = {
    name: bases
    for path in sorted((ROOT / "mailstack/interfaces").glob("*.py"))
    for name, bases in re.findall(r"^class (I[A-Z]\w+)\((.*)\)", path.read_text("utf-8"), re.MULTILINE)
}

FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
SHELL = {"sh", "console"}
#: Where a shell's own syntax begins.
REDIRECTION = re.compile(r"[<>&;]| \|")


def blocks(text: str, *languages: str) -> str:
    return "\n".join(body for language, body in FENCED.findall(text) if language in languages)


def prose(text: str) -> str:
    return FENCED.sub("", text)


def quoted(document: Path) -> list[str]:
    """What stands between backticks."""
    return INLINE.findall(prose(document.read_text("utf-8")))


def anchors(text: str) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands(text: str) -> Iterator[str]:
    """All command lines that begin with ``mailstack``, with what follows the name."""
    lines = [line.removeprefix("$ ") for line in blocks(text, *SHELL).splitlines()]
    for line in [*lines, *INLINE.findall(prose(text))]:
        name, _, rest = line.partition(" ")
        if name == "mailstack" and rest:
            yield REDIRECTION.split(rest)[0]


def alternatives(line: str) -> list[list[str]]:
    """``user add|remove`` is two commands."""
    word = re.search(r"\S+\|\S+", line)
    if word is None:
        return [shlex.split(line)]
    return [shlex.split(line.replace(word[0], one)) for one in word[0].split("|")]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    text = document.read_text("utf-8")
    for target in LINK.findall(prose(text)):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        path = document.parent / name if name else document
        assert path.exists(), target
        assert not anchor or anchor in anchors(path.read_text("utf-8")), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_exist(document: Path) -> None:
    """``x/y.py`` is below the checkout or ``mailstack/``."""
    named = [word for word in quoted(document) if re.fullmatch(r"\w[\w./-]*\.(py|ini)", word)]
    below = (ROOT, ROOT / "mailstack", ROOT / "etc")
    assert [name for name in named if not any((folder / name).exists() for folder in below)] == []


def test_layout_exists() -> None:
    """The folders of the layout, and those of the table below it."""
    text = (ROOT / "docs/architecture.md").read_text("utf-8").partition("## The layout")[2].partition("\n## ")[0]
    tree = [line.split()[0] for line in blocks(text, "").splitlines()]
    table = [f"mailstack/{name}" for name in re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)]
    assert len(tree) > 5
    assert len(table) > 10
    assert [name for name in tree + table if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_interfaces_exist(document: Path) -> None:
    named = {name for words in quoted(document) for name in re.findall(r"\bI[A-Z][a-z]\w+", words)}
    assert named - SEAMS.keys() == set()


def test_every_interface_is_told_of() -> None:
    text = (ROOT / "docs/architecture.md").read_text("utf-8")
    assert [name for name, bases in SEAMS.items() if bases == "Interface" and f"`{name}`" not in text] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_options_exist(document: Path) -> None:
    """``[section] key`` is one of mail.ini."""
    known = options(ROOT)
    named = [pair for words in quoted(document) for pair in re.findall(r"^\[(\w+)\] (\w+)", words)]
    assert [pair for pair in named if pair[0] not in known or pair[1] not in known[pair[0]]] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_exist(document: Path) -> None:
    """Verbs and options are known; --help because nothing is to happen."""
    for line in commands(document.read_text("utf-8")):
        for words in alternatives(line):
            done = CliRunner().invoke(main, [*words, "--help"])
            assert done.exit_code == 0, f"mailstack {line}: {done.output}"


def test_commands_are_found() -> None:
    found = list(commands(README))
    assert len(found) > 10
    assert {line.split()[0] for line in found} >= {"check", "user", "alias", "queue"}


#: What people call a program, where that is not the command's name.
NAMES = {
    "/usr/lib/dovecot/lmtp": "Dovecot",
    "gsasl": "GNU SASL",
    "losetup": "mount",
    "mkfs.ext4": "e2fsprogs",
    "mkfs.xfs": "xfsprogs",
}


@pytest.mark.parametrize("document", ["CONTRIBUTING.md", "docs/dependencies.md"])
def test_programs_of_the_live_tests(document: str) -> None:
    """All that .ci/install installs is named."""
    installed = re.findall(r"^    (\S+):\S+$", (ROOT / ".ci/install").read_text("utf-8"), re.MULTILINE)
    assert len(installed) > 10
    text = " ".join((ROOT / document).read_text("utf-8").split()).casefold()
    (named,) = re.findall(r"curl, dovecot, [\w ,-]+", text)
    assert {NAMES.get(name, name).casefold() for name in [*installed, "exim"]} == set(named.split(", "))


def test_sample_of_the_relay_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is what the configuration of the checkout gives."""
    monkeypatch.chdir(tmp_path)
    for path, text in (("etc/mail.ini", (ROOT / "etc/mail.ini").read_text()), ("var/users", "alice@office.test:*\n")):
        Path(path).parent.mkdir()
        Path(path).write_text(text)
    sample = blocks(README, "console").partition("$ mailstack relay table\n")[2].partition("\n$ ")[0].splitlines()
    said = CliRunner().invoke(main, ["-c", "etc/mail.ini", "relay", "table"]).stdout.splitlines()
    assert sample[-1] == "…"
    assert sample[:-1] == said[: len(sample) - 1]
    assert len(sample) > 5


TRACED = """\
Return-Path: <news@list.example>
Delivered-To: alice@office.test
Received: from mx.far.test ([203.0.113.9])
\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384)
\tby mail.office.test (mailstack) with ESMTPS id K0YEACMR8AN7
\tfor <alice@office.test>;
\tMon, 23 Nov 2026 15:52:29 +0000
Received: from laptop (dsl-7.isp.test [198.51.100.7])
\tby mx.far.test (Postfix) with ESMTPSA id 4XyzAB1cD2
\tfor <alice@office.test>; Mon, 23 Nov 2026 16:51:09 +0100 (CET)
From: "boss@office.test" <friend@far.test>
To: alice@office.test
Date: Mon, 23 Nov 2026 15:51:02 +0000
Message-ID: <7f2a@far.test>
"""


def test_sample_of_trace() -> None:
    """It is what comes of such a letter."""
    sample = blocks(README, "console").partition("$ mailstack trace letter.eml\n")[2]
    words = ["-c", str(ROOT / "etc/mail.ini"), "trace", "--lang", "en", "-"]
    said = CliRunner().invoke(main, words, input=TRACED).stdout
    assert said and sample.startswith(said)


def test_set_up_lines() -> None:
    """Two lines, each of which works by itself; the tests' one is what .ci/run does, step by step."""
    lines = blocks(README, "sh").splitlines()
    run, test = [line for line in lines if line.startswith("python3 -m venv .venv && .venv/bin/pip install -q -e ")]
    assert run.endswith(".venv/bin/twistd -n mailstack -c etc/mail.ini")
    done = [shlex.split(line) for line in (ROOT / ".ci/run").read_text("utf-8").splitlines() if line.strip()[:1] != "#"]
    for step in test.split(" && "):
        assert any(set(shlex.split(step)) <= set(words) for words in done), f"not in .ci/run: {step}"


def test_second_server_of_the_tour(tmp_path: Path) -> None:
    """It does not meet the first one, and is where the route of the tour leads: our own port would be a loop."""
    steps = next(body for _, body in FENCED.findall(README) if "var/strict/etc/mail.ini" in body).splitlines()
    shutil.copytree(ROOT / "etc", tmp_path / "etc")
    subprocess.run(["sh", "-ec", "\n".join(steps[:-1])], cwd=tmp_path, check=True)
    first, second = load(tmp_path / "etc/mail.ini"), load(tmp_path / "var/strict/etc/mail.ini")
    assert second.server.domains == ("strict.test",)
    assert steps[-1].endswith("-c var/strict/etc/mail.ini")
    (port,) = re.findall(r"^strict\.test = smtp:\[127\.0\.0\.1\]:(\d+)$", blocks(README, "ini"), re.MULTILINE)
    assert [f"tcp:{port}"] == [str(each) for each in second.smtp.listen]
    for one, other in zip(_listens(first), _listens(second), strict=True):
        assert not set(one) & set(other)
    assert first.server.data != second.server.data


def _listens(settings: Settings) -> list[tuple[object, ...]]:
    services = (settings.smtp, settings.submission, settings.pop3)
    return [tuple(getattr(each, name)) for each in services for name in ("listen", "listen_tls") if hasattr(each, name)]
