"""After ATRN the connection is somebody else's, but it counts and ends with the service."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from twisted.internet.defer import Deferred

from mailstack.interfaces.waiting import ITurn
from tests.server.test_smtp import Service
from tests.server.wire import Wire

LOGIN = b"EHLO a\r\nAUTH PLAIN AGJvYgBzZXNhbWU=\r\n"
TURNED = b"250 2.0.0 OK now reversing the connection\r\n"


@pytest.fixture
def service() -> Service:
    service = Service(submission=True)
    service.office.waiting.letters["backup.test"] = 1
    return service


@pytest.fixture
def wire(service: Service) -> Wire:
    """Logged in, from loopback."""
    wire = service.connect("127.0.0.1")
    wire.send(LOGIN)
    return wire


def test_the_connection_is_handed_over(service: Service, wire: Wire) -> None:
    """After our answer, with what has come already, and without us as its producer."""
    turn = service.office.waiting.turn
    assert wire.send(b"ATRN\r\n220 a\r\n") == TURNED
    assert turn.transport is wire
    assert wire.producer is None
    wire.send(b"250 b\r\n")
    assert turn.heard == b"220 a\r\n250 b\r\n"
    assert len(service.connections) == 1


def test_a_refusal_hands_over_nothing(service: Service, wire: Wire) -> None:
    assert wire.send(b"ATRN far.test\r\nNOOP\r\n").endswith(b"250 2.0.0 Ok\r\n")
    assert service.office.waiting.turn.transport is None


def test_our_time_outs_do_not_count_any_more(service: Service, wire: Wire) -> None:
    wire.send(b"ATRN\r\n")
    service.clock.advance(3_000)
    assert wire.read() == b""
    assert not wire.aborted


@pytest.fixture
def fetching(service: Service, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> Deferred[None]:
    """ATRN was said, and we look for letters until this fires."""
    gate, fetch = Deferred[None](), service.office.waiting.fetch

    async def slow_fetch(domains: Sequence[str]) -> ITurn | None:
        await gate
        return await fetch(domains)

    monkeypatch.setattr(service.office.waiting, "fetch", slow_fetch)
    assert wire.send(b"ATRN\r\n") == b""
    return gate


def test_a_client_that_is_gone_before_the_answer(service: Service, wire: Wire, fetching: Deferred[None]) -> None:
    """Nobody is there to whom the connection could be turned."""
    wire.lose()
    fetching.callback(None)
    assert service.office.waiting.turn.transport is None
    assert service.office.log.failures == []
    assert service.clock.getDelayedCalls() == []


def test_a_stop_before_the_answer(service: Service, wire: Wire, fetching: Deferred[None]) -> None:
    """One answer, and that is no yes."""
    stopped = Deferred.fromCoroutine(service.connections.stop())
    fetching.callback(None)
    assert wire.read() == b"421 4.3.2 The server stops, try again in a moment\r\n"
    assert wire.disconnecting
    wire.lose()
    assert service.office.waiting.turn.transport is None
    assert stopped.called


def test_a_client_that_only_listens_before_the_answer(service: Service, wire: Wire, fetching: Deferred[None]) -> None:
    wire.protocol.readConnectionLost()  # type: ignore[attr-defined]
    fetching.callback(None)
    assert wire.read().startswith(b"421 4.4.2 ")
    assert wire.disconnecting
    assert service.office.waiting.turn.transport is None


def test_a_lost_connection(service: Service, wire: Wire) -> None:
    wire.send(b"ATRN\r\n")
    wire.lose()
    assert service.office.waiting.turn.lost is not None
    assert len(service.connections) == 0
    assert service.clock.getDelayedCalls() == []


def test_a_client_that_only_listens(service: Service, wire: Wire) -> None:
    wire.send(b"ATRN\r\n")
    wire.protocol.readConnectionLost()  # type: ignore[attr-defined]
    assert wire.aborted


def test_the_server_stops(service: Service, wire: Wire) -> None:
    wire.send(b"ATRN\r\n")
    stopped = Deferred.fromCoroutine(service.connections.stop())
    assert service.office.waiting.turn.aborted
    assert stopped.called
