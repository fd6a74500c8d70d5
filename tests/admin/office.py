"""A configuration in a folder, a queue below it, and the command line at work on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mailstack.admin.cli import main
from mailstack.admin.site import Site
from tests.spool.filled import Filled

MAIL_INI = "[server]\nhostname = mail.office.test\ndomains = office.test\ndata = data\n"

NOW = 1795534061.0  # 2026-11-24T15:27:41Z


class Office:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ini = folder / "mail.ini"
        self.ini.write_text(MAIL_INI)
        self.queue = Filled(folder / "data")
        self.now = NOW
        self.pauses: list[float] = []

    @property
    def users(self) -> Path:
        return self.folder / "data/users"

    @property
    def aliases(self) -> Path:
        return self.folder / "data/aliases"

    def run(self, *args: str, input: str | bytes | None = None) -> Result:
        return CliRunner().invoke(main, list(args), input=input, obj=self._site())

    def _site(self) -> Site:
        return Site(self.ini, now=lambda: self.now, pause=self.pauses.append)

    def json(self, *args: str) -> Any:
        result = self.run(*args, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)


class Terminal:
    """Looks like ``sys``, with somebody who reads and writes."""

    class stdin:
        isatty = staticmethod(lambda: True)


def at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailstack.admin.queue_change.sys", Terminal)
