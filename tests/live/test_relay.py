"""The relay is closed: everything that testers of open relays try, and nothing leaves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.live.conftest import MakeOffice, next_hop
from tests.live.office import Office
from tests.live.sink import Sink
from tests.live.waiting import eventually
from tests.live.wire import Wire

PROBES = json.loads((Path(__file__).parent / "data/relay_probes.json").read_text())["probes"]
PLACES = {
    "s": "stranger",
    "v": "alice",
    "u": "x",
    "x": "away.test",
    "X": "AWAY.TEST",
    "n": "mail.office.test",
    "d": "office.test",
    "ip": "127.0.0.1",
}


def octets(probe: str) -> bytes:
    return probe.format(**PLACES).replace("\\0", "\0").replace("\\n", "\n").encode()


def mail(sender: str) -> bytes:
    """A probe's parameters follow the path."""
    path, _, parameters = octets(sender).partition(b" ")
    return b"MAIL FROM:<%b> %b" % (path, parameters) if parameters else b"MAIL FROM:<%b>" % path


@pytest.mark.parametrize(("sender", "recipient"), PROBES)
def test_probe(office: Office, sink: Sink, sender: str, recipient: str) -> None:
    """A 5xx to RCPT (or already to MAIL), and to the DATA after it."""
    with Wire(office.port.smtp) as wire:
        wire.ask(b"EHLO tester.test")
        wire.ask(mail(sender))
        assert wire.ask(b"RCPT TO:<" + octets(recipient) + b">").startswith("5")
        assert wire.ask(b"DATA").startswith("503 ")
    assert office.queue() == [] == sink.heard
    assert office.files("alice") == []


@pytest.mark.parametrize(("sender", "recipient"), PROBES[:4])
def test_probe_on_the_port_of_users(office: Office, sink: Sink, sender: str, recipient: str) -> None:
    with Wire(office.port.submission) as wire:
        wire.ask(b"EHLO tester.test")
        assert wire.ask(mail(sender)).startswith("530 5.7.0 ")
        assert wire.ask(b"RCPT TO:<" + octets(recipient) + b">").startswith("50")
    assert sink.heard == []


def test_user_cannot_send_as_somebody_else(office: Office) -> None:
    with office.submission("alice") as client:
        client.ehlo()
        for sender in ("bob@office.test", "ceo@far.test", "nobody@office.test"):
            code, text = client.mail(sender)
            assert (code, text[:5]) == (553, b"5.7.1"), sender


def test_open_to_the_networks_that_are_named(make_office: MakeOffice, sink: Sink) -> None:
    """And to the domains that we are backup for; [relay] is all that opens it."""
    named = make_office(next_hop(sink) | {"relay": {"networks": "127.0.0.0/8"}}).start()
    with named.smtp() as client:
        client.sendmail("printer@far.test", ["x@away.test"], "Subject: scan\r\n\r\n")
    assert eventually(lambda: sink.letters)


def test_backup_for_a_domain(make_office: MakeOffice, sink: Sink) -> None:
    backup = make_office(next_hop(sink) | {"relay": {"domains": "away.test"}}).start()
    with backup.smtp() as client:
        client.sendmail("friend@far.test", ["x@away.test"], "Subject: for later\r\n\r\n")
        client.ehlo()
        client.mail("friend@far.test")
        assert client.rcpt("x@sub.away.test")[0] == 550
    assert eventually(lambda: sink.letters)
