"""What pip installs works from any folder."""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

#: What a checkout has that a build does not need, and what may be large.
NOT_COPIED = shutil.ignore_patterns(
    ".*", "__pycache__", "dropin.cache*", "*.egg-info", "bench", "build", "dist", "tests", "var"
)


def configuration() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def test_every_package_is_listed() -> None:
    """A package that is missing in setup.cfg is missing in what gets installed."""
    listed = set(configuration()["options"]["packages"].split())
    there = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "mailstack").rglob("__init__.py")}
    assert listed == there | {"twisted.plugins"}


def test_the_plugin_adds_to_twisteds_package() -> None:
    """A package of our own there would hide Twisted's plugins: twistd itself among them."""
    assert not list((ROOT / "twisted").rglob("__init__.py"))


class Environment:
    """A fresh virtual environment that finds the dependencies in ours."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, with_pip=True, symlinks=True)
        self.bin = folder / "bin"
        (site_packages,) = folder.glob("lib/python*/site-packages")
        # A .pth file adds the folder, not the .pth files in it: our own editable install stays out of sight.
        (site_packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
        twistd = self.bin / "twistd"
        twistd.write_text(f"#!{self.bin}/python\nfrom twisted.scripts.twistd import run\nrun()\n")
        twistd.chmod(0o755)

    def pip_install(self, *what: str) -> None:
        """Only setuptools is downloaded, for the build."""
        done = self.run("python", "-m", "pip", "install", "--quiet", "--no-deps", *what)
        if "No matching distribution found for setuptools" in done.stderr:
            pytest.skip("the package index cannot be reached")
        assert done.returncode == 0, done.stderr

    def run(self, program: str, *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run([self.bin / program, *words], text=True, capture_output=True, cwd=cwd, timeout=300)


@pytest.mark.live
@pytest.mark.slow
@pytest.mark.parametrize("editable", [False, True], ids=["install", "editable"])
def test_pip_install(tmp_path: Path, editable: bool) -> None:
    source, elsewhere = tmp_path / "source", tmp_path / "elsewhere"
    shutil.copytree(ROOT, source, ignore=NOT_COPIED)
    elsewhere.mkdir()
    environment = Environment(tmp_path / "venv")
    environment.pip_install(*["--editable"] * editable, str(source))
    for program, words, expected in (
        ("twistd", ["mailstack", "--help"], "--config="),
        ("twistd", ["--help"], "mailstack"),
        ("mailstack", ["--help"], "queue list"),
        ("mailstack", ["--version"], configuration()["metadata"]["version"]),
    ):
        done = environment.run(program, *words, cwd=elsewhere)
        assert done.returncode == 0, done.stderr
        assert expected in done.stdout
    meaning = "from mailstack.queue.wording import read_dictionary; print(read_dictionary('zh').command('QUIT').source)"
    assert environment.run("python", "-c", meaning, cwd=elsewhere).stdout == "RFC 5321 §4.1.1.10\n"
    where = environment.run("python", "-c", "import mailstack; print(mailstack.__file__)", cwd=elsewhere).stdout
    assert where.startswith(str(source if editable else environment.bin.parent)), f"{where} in {sys.prefix}"
