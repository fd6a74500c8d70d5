"""Programs that nobody here wrote. A test whose program is missing is skipped, and says which one it was.

With ``MAILSTACK_PROGRAMS=all`` in the environment, as in ``.ci/run``, it fails: there everything was installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

#: Servers' commands are not on everybody's PATH.
SEARCH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])

TIMEOUT = 60  # seconds, for one run of a client

#: NSS's nobody, who owns what a server does that must not run as root.
NOBODY = 65534


def program(name: str) -> str:
    """Where it is."""
    found = shutil.which(name, path=SEARCH)
    return found or missing(f"{name} is not installed")


def missing(what: str) -> NoReturn:
    if os.environ.get("MAILSTACK_PROGRAMS") == "all":
        pytest.fail(f"{what}, but everything should be here: see .ci/install")
    pytest.skip(what)


def need_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can do this")


def run(
    name: str, *arguments: object, input: bytes | str = b"", cwd: Path | None = None, code: int = 0
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, which must be exit code ``code``."""
    done = run_anyhow(name, *arguments, input=input, cwd=cwd)
    assert done.returncode == code, f"{name} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done


def run_anyhow(
    name: str, *arguments: object, input: bytes | str = b"", cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """The same, whatever the exit code. What it prints is taken as Latin-1, so no octet is an error."""
    octets = input.encode() if isinstance(input, str) else input
    done = subprocess.run(
        [program(name), *map(str, arguments)],
        input=octets,
        capture_output=True,
        cwd=cwd,
        timeout=TIMEOUT,
    )
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode("latin-1"), done.stderr.decode("latin-1")
    )
