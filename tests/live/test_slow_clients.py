"""Clients that take our time and our memory: the others are served all the same. The short version of
:mod:`tests.live.slow_clients`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.live.conftest import MakeOffice
from tests.live.office import Office
from tests.live.slow_clients import ENVELOPE, ROOM, flood, raise_file_limit, serve_good_among_slow
from tests.live.waiting import eventually
from tests.live.wire import Wire

MIB = 1 << 20


@pytest.fixture
def crowded(make_office: MakeOffice) -> Iterator[Office]:
    raise_file_limit()
    return make_office(ROOM).start()


def counts(office: Office) -> dict[str, int]:
    return {each["name"]: each["struck"] for each in json.loads(office.cli("limits", "--json"))}


def test_good_clients_among_slow_ones(crowded: Office) -> None:
    found = serve_good_among_slow(crowded, slow=200, good=10, seconds=4)
    assert found.still_there == 200
    assert found.letters >= 10
    assert found.p99 < 2


@pytest.mark.parametrize("beginning", [b"", ENVELOPE], ids=["command", "message"])
def test_octets_without_a_line_end(crowded: Office, beginning: bytes) -> None:
    assert flood(crowded, 10, 16 * MIB, beginning) < 50 * MIB


def test_drips_are_cut_off_in_time(make_office: MakeOffice) -> None:
    """An octet now and then buys no time, neither in a command nor in a message; and it is counted."""
    limits = {"command_timeout": "2s", "data_timeout": "2s", "min_data_rate": "1000"}
    office = make_office({"limits": limits}).start()
    began = time.monotonic()
    with Wire(office.port.smtp) as command, Wire(office.port.smtp) as data:
        data.envelope("friend@far.test", "alice@office.test")
        while command.silent(0) or data.silent(0):
            assert time.monotonic() - began < 10
            for wire in (command, data):
                if wire.silent(0):
                    wire.send(b"x")
            time.sleep(0.2)
        assert command.reply() == "421 4.4.2 No whole command for too long, good bye\r\n"
        assert data.reply() == "421 4.4.2 Your message comes in too slowly, good bye\r\n"
    assert time.monotonic() - began >= 2
    time.sleep(1.2)
    found = counts(office)
    assert (found["command_timeout"], found["min_data_rate"], found["data_timeout"]) == (1, 1, 0)
    assert office.files("alice") == []
    assert office.spooled() == []


def test_full_house_makes_us_impatient(make_office: MakeOffice) -> None:
    """Of clients that do nothing so many have to go after ten seconds that a quarter of the places is free again."""
    office = make_office({"limits": {"connections": "8"}}).start()
    with ExitStack() as stack:
        idle = [stack.enter_context(Wire(office.port.smtp)) for _ in range(8)]
        began = time.monotonic()
        assert eventually(lambda: sum(not wire.silent(0) for wire in idle) == 2)
        assert time.monotonic() - began > 8
        for wire in idle:
            assert wire.silent(0) or wire.reply().startswith("421 4.4.2 No whole command")
        assert stack.enter_context(Wire(office.port.smtp)).ask(b"NOOP").startswith("250 ")


def test_what_is_no_smtp(make_office: MakeOffice) -> None:
    """A TLS client, a browser: told at once, in the log, and gone."""
    office = make_office().start()
    with Wire(office.port.submission) as wire:
        wire.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        assert wire.reply().startswith("421 4.7.0 This port begins in plain: use STARTTLS here")
        assert wire.reply() == ""
    assert office.wait_for_log("NOQUEUE: TLS handshake on a port that begins in plain", "127.0.0.1")
    with Wire(office.port.smtp) as wire:
        wire.send(b"GET / HTTP/1.1\r\nHost: mail.office.test\r\n\r\n")
        assert wire.reply() == "421 4.7.0 This is SMTP, not HTTP; good bye\r\n"
        assert wire.reply() == ""
    assert office.wait_for_log("NOQUEUE: HTTP request (GET) from unknown[127.0.0.1]: cut off")


def test_pause_before_the_greeting(make_office: MakeOffice) -> None:
    """Who waits is served; who does not is cut; who is of the house need not wait."""
    relay = {"networks": "127.0.0.3"}
    office = make_office({"smtp": {"greet_delay": "2s"}, "relay": relay}).start()
    began = time.monotonic()
    with Wire(office.port.smtp) as wire:
        assert wire.greeting.startswith("220 ")
        assert time.monotonic() - began >= 2
        assert wire.ask(b"EHLO client.test").startswith("250")
    began = time.monotonic()
    with Wire(office.port.smtp, "127.0.0.3") as wire:
        assert wire.greeting.startswith("220 ")
        assert time.monotonic() - began < 1.5
    with Wire(office.port.smtp, first=b"EHLO client.test\r\n") as wire:
        assert wire.greeting == "554 5.5.1 You talk before our greeting; good bye\r\n"
        assert wire.reply() == ""
    assert office.wait_for_log("command before our greeting")
