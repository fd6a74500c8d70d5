"""The whole server, put together, without a socket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from mailstack.service import STOPPED_FIRST, MailServer
from mailstack.startup import Options
from tests.intake import office


@pytest.fixture
def server(tmp_path: Path) -> MailServer:
    settings = office.settings()
    options = Options()
    options.settings = evolve(settings, server=evolve(settings.server, data=tmp_path))
    return MailServer(options, Clock())


def test_messages_expire_only_where_the_settings_say_so(tmp_path: Path, server: MailServer) -> None:
    assert "expiry" not in server.namedServices
    settings = office.settings()
    options = Options()
    data, pop3 = evolve(settings.server, data=tmp_path), evolve(settings.pop3, expire=30)
    accounts = evolve(settings.accounts, users=tmp_path / "users", aliases=None)
    options.settings = evolve(settings, server=data, pop3=pop3, accounts=accounts)
    server = MailServer(options, Clock())
    expiry = server.namedServices["expiry"]
    assert list(expiry._accounts()) == []
    options.settings.accounts.users.write_text("Alice@office.test:{PLAIN}x\nbob@office.test:{PLAIN}x\n")
    server.directory.reload()
    assert [str(account) for account in expiry._accounts()] == ["alice@office.test", "bob@office.test"]


def test_every_service_is_stopped(server: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that others serve first, and then all that there are: a count of the last second is not lost."""
    stopped: list[str] = []
    waiting: Deferred[None] = Deferred()

    def stop(service: Service) -> Any:
        def stopping() -> Any:
            stopped.append(str(service.name))
            return waiting if service.name == "smtp" else None

        return stopping

    async def stop_spool() -> None:
        stopped.append("spool")

    for service in server:
        monkeypatch.setattr(service, "stopService", stop(service))
    monkeypatch.setattr(server.out.spool, "stop", stop_spool)
    server.stopService()
    assert stopped == sorted(stopped, key=STOPPED_FIRST.index)
    assert set(stopped) == set(STOPPED_FIRST)
    waiting.callback(None)
    assert sorted(stopped) == sorted([*server.namedServices, "spool"])
    assert stopped[-1] == "spool"
    assert {"limits", "queue", "sessions"} < set(stopped)
