"""The program as scripts see it: exit codes, streams, speed of the start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from mailstack.admin.cli import main
from mailstack.admin.output import clean, size, table
from mailstack.admin.site import Failed, Site
from tests.admin.office import Office

ROOT = Path(__file__).parents[2]
PROGRAM = "from mailstack.admin.cli import main; main(prog_name='mailstack')"


def program(
    *args: str, cwd: Path, config: Path | None = None, stdout: int = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    if config:
        environment["MAILSTACK_CONFIG"] = str(config)
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *args],
        cwd=cwd,
        env=environment,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("group", [(), ("user",), ("alias",), ("queue",), ("relay",), ("session",)])
def test_lists_of_commands_are_whole(group: tuple[str, ...]) -> None:
    """None is cut off in the middle of a sentence."""
    said = CliRunner().invoke(main, [*group, "--help"], obj=None).output.partition("Commands:")[2]
    assert said
    assert [line for line in said.splitlines() if line.endswith("...")] == []


def test_json_in_any_script(office: Office) -> None:
    """Escaped only where the output cannot have it."""
    office.users.parent.mkdir()
    office.users.write_text("张伟@office.test:{PLAIN}x\n")
    assert "张伟@office.test" in office.run("user", "list", "--json").stdout
    result = CliRunner(charset="latin-1").invoke(main, ["user", "list", "--json"], obj=Site(office.ini))
    assert "\\u5f20\\u4f1f@office.test" in result.output


@pytest.mark.parametrize(
    ("args", "code"),
    [
        ((), 64),
        (("frob",), 64),
        (("user", "frob"), 64),
        (("user", "add"), 64),
        (("queue", "retry"), 64),
        (("--frob",), 64),
        (("-c",), 64),
        (("-c", "/nowhere/mail.ini", "user", "list"), 78),
        (("-c", "/nowhere/mail.ini", "--help"), 0),
        (("--help",), 0),
        (("user", "add", "-h"), 0),
    ],
)
def test_exit_codes(args: tuple[str, ...], code: int) -> None:
    result = CliRunner().invoke(main, args)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output


def test_every_command_explains_itself() -> None:
    def texts(command: object, path: str) -> list[tuple[str, str]]:
        found = [(path, getattr(command, "help", None) or "")]
        for name, child in getattr(command, "commands", {}).items():
            found += texts(child, f"{path} {name}")
        return found

    assert [path for path, text in texts(main, "mailstack") if not text] == []


def test_the_configuration_is_found(office: Office, tmp_path: Path) -> None:
    """``-c``, then the environment, then etc/mail.ini."""
    office.users.parent.mkdir()
    office.users.touch()
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "etc").mkdir(parents=True)
    assert program("user", "list", "--json", cwd=elsewhere, config=office.ini).stdout == "[]\n"
    assert program("-c", str(office.ini), "user", "list", "--json", cwd=elsewhere).stdout == "[]\n"
    (elsewhere / "etc/mail.ini").write_text("nonsense\n")
    done = program("user", "list", cwd=elsewhere)
    assert done.returncode == 78
    assert done.stderr.startswith("etc/mail.ini: [server] domains: it is missing")
    assert "etc/mail.ini:1: 'nonsense' is no option" in done.stderr


def test_a_reader_that_has_had_enough(office: Office) -> None:
    """``mailstack … | head`` ends without a word."""
    office.users.parent.mkdir()
    office.users.touch()
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = program("user", "list", cwd=office.folder, config=office.ini, stdout=writing)
    finally:
        os.close(writing)
    assert done.stderr == ""
    assert done.returncode == 1


def test_the_start_is_quick() -> None:
    """What takes long to load is loaded when it is needed."""
    slow = ["twisted", "cryptography", "passlib", "argon2", "sqlite3", "dns"]
    code = f"import sys, mailstack.admin.cli; print([name for name in {slow} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_text_from_others_cannot_steer_the_terminal() -> None:
    assert clean("a\x1b[2J\r\n\x9b\u202e\udc80ä") == "a\\x1b[2J\\r\\n\\x9b\\u202e\\udc80ä"


def test_tables_are_aligned() -> None:
    assert table(("A", "LONG"), [("xxx", "y"), ("", "z")])[1:] == ["xxx  y", "     z"]


@pytest.mark.parametrize(
    ("octets", "text"), [(0, "0"), (1023, "1023"), (2048, "2.0 KiB"), (5 * 2**20, "5.0 MiB"), (2**41, "2048.0 GiB")]
)
def test_sizes(octets: int, text: str) -> None:
    assert size(octets) == text


def test_what_failed_does_not_steer_the_terminal() -> None:
    """It may name a folder that somebody else has named. Lines stay."""
    assert Failed(".Junk\x1b[2J\u202e: no list\nsee --uidl").message == ".Junk\\x1b[2J\\u202e: no list\nsee --uidl"
