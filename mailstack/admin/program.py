"""Where the program begins: by which name it was called, and what can be done before the whole command line is loaded.

A link named ``sendmail``, ``mailq`` or ``newaliases`` makes it that one. Scripts send one letter after the other, so
``sendmail`` loads only what it needs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

#: What the other names stand for.
NAMES = {"sendmail": ["sendmail"], "mailq": ["mailq"], "newaliases": ["sendmail", "-bi"]}


def words_of(argv: Sequence[str]) -> list[str]:
    """The words behind ``mailstack`` that a command line stands for."""
    name = os.path.basename(argv[0])  # noqa: PTH119 - pathlib would have to be loaded
    return [*NAMES.get(name, ()), *argv[1:]]


def main() -> None:
    words = words_of(sys.argv)
    config, rest = (words[1], words[2:]) if len(words) > 2 and words[0] in ("-c", "--config") else (None, words)
    if rest[:1] == ["sendmail"]:
        from mailstack.admin.sendmail import run

        sys.exit(run(rest[1:], config))
    from mailstack.admin.cli import main as command_line

    # A link's own name stands in the words already: "mailq mailq" would be no usage.
    command_line(words, prog_name="mailstack")
