"""A call to a host, cut short."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.testing import MemoryReactorClock

from mailstack.delivery.courier import Courier
from mailstack.delivery.policy import ConfiguredPolicies
from mailstack.delivery.pool import Way
from mailstack.delivery.tls import Contexts
from mailstack.interfaces.delivery import Host, NextHop
from mailstack.protocol.smtp_dialogue import Patience
from tests.fakes import ListLog


def test_a_stop_while_a_host_is_being_called_is_no_error_of_its_own() -> None:
    """Endpoints have another name for it, which nobody above knows."""
    reactor = MemoryReactorClock()
    contexts = Contexts(None, reactor.seconds)
    courier = Courier(reactor, "mx.office.test", ListLog(), contexts, Patience(), ConfiguredPolicies())
    hop = NextHop("mx:far.test", "far.test", 25, exchangers=True, tls="none", named=False)
    work = Deferred.fromCoroutine(courier.call("L1", Way(hop), Host("mx.far.test", "192.0.2.1", 25)))
    (call,) = reactor.connectors
    call.stopConnecting = lambda: None  # type: ignore[method-assign]
    work.cancel()
    failures: list[object] = []
    work.addErrback(lambda failure: failures.append(failure.type))
    assert failures == [CancelledError]
