"""A password that a command needs: from a file, from standard input, or asked for."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from mailstack.admin.output import clean
from mailstack.admin.site import Failed

#: Two options, for what :func:`password` takes.
in_file = click.option(
    "--password-file", type=click.Path(path_type=Path), help="The password is the first line of this file."
)
on_stdin = click.option("--password-stdin", is_flag=True, help="The password is the first line of standard input.")


def password(whose: str, file: Path | None, from_stdin: bool) -> str:
    """``whose`` is for the question."""
    if file is not None and from_stdin:
        raise click.UsageError("--password-file or --password-stdin, not both")
    if file is not None:
        with file.open("rb") as opened:
            return _first_line(opened, str(file))
    if from_stdin:
        return _first_line(sys.stdin.buffer, "standard input")
    if not os.isatty(0):
        raise click.UsageError("there is no terminal to ask for the password: use --password-file or --password-stdin")
    answer: str = click.prompt(f"Password of {clean(whose)}", hide_input=True, err=True)
    return answer


def _first_line(stream: Any, name: str) -> str:  # Any: what click's own runner puts in the place of standard input
    line: str = stream.readline().decode("utf-8", "surrogateescape").rstrip("\r\n")
    if not line:
        raise Failed(f"there is no password in the first line of {name}")
    return line
