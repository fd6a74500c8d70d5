"""Proxies name their clients: HAProxy itself, and curl and swaks in its clothes; swaks with XCLIENT."""

from __future__ import annotations

import smtplib
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.live.conftest import next_hop
from tests.live.office import Office, loopback
from tests.live.ports import free_ports
from tests.live.programs import program, run
from tests.live.sink import Sink
from tests.live.waiting import eventually
from tests.live.wire import DOMAIN, PASSWORD, UNVERIFIED, Wire

CLIENT, CLIENT6 = "203.0.113.9", "2001:db8::9"
ENVELOPE = ("--from", "friend@far.test", "--to", "alice@office.test", "--helo", "client.test", "--hide-all")


class Proxied(Office):
    """Its ports a second time for proxies. 127.0.0.1 may relay, and may say XCLIENT."""

    def __init__(self, root: Path, sink: Sink, proxies: str = "127.0.0.0/8") -> None:
        super().__init__(root)
        self.smtp_behind, self.pop3_behind = free_ports(2)
        port = self.port
        self.configure(
            {
                **next_hop(sink),
                "server": {"proxies": proxies, "xclient": "127.0.0.1"},
                "relay": {"networks": "127.0.0.1"},
                "smtp": {"listen": f"{loopback(port.smtp)}\n  haproxy:{loopback(self.smtp_behind)}"},
                "pop3": {"listen": f"{loopback(port.pop3)}\n  haproxy:{loopback(self.pop3_behind)}"},
            }
        )


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory, module_sink: Sink) -> Iterator[Proxied]:
    made = Proxied(tmp_path_factory.mktemp("proxied"), module_sink)
    try:
        made.add_users("alice")
        yield made.start()
    finally:
        made.close()


def last_letter(office: Office) -> str:
    """Taken out of alice's mailbox."""
    (file,) = office.wait_for_files("alice")
    text = file.read_text()
    file.unlink()
    return text


@pytest.mark.parametrize(
    ("version", "family", "source", "dest", "shown"),
    [
        ("1", "TCP4", CLIENT, "192.0.2.1", CLIENT),
        ("1", "TCP6", CLIENT6, "2001:db8::1", f"IPv6:{CLIENT6}"),
        ("2", "AF_INET", CLIENT, "192.0.2.1", CLIENT),
        ("2", "AF_INET6", CLIENT6, "2001:db8::1", f"IPv6:{CLIENT6}"),
    ],
)
def test_swaks_as_a_proxy(office: Proxied, version: str, family: str, source: str, dest: str, shown: str) -> None:
    """The client stands in the log, in Received and before the relay rule."""
    place = ("--server", "127.0.0.1", "--port", office.smtp_behind, "--proxy-version", version)
    header = ("--proxy-family", family, "--proxy-source", source, "--proxy-source-port", "5")
    options = (*place, *header, "--proxy-dest", dest, "--proxy-dest-port", "25")
    run("swaks", *options, *ENVELOPE, "-tls")
    assert f"Received: from client.test ([{shown}])\n" in last_letter(office)
    assert office.wait_for_log(f"client=unknown[{source}]")
    run("swaks", *options, "--from", "friend@far.test", "--to", "victim@elsewhere.test", "--hide-all", code=24)
    assert office.wait_for_log(f"reject: RCPT from unknown[{source}]: 550 5.7.1")


def test_curl_as_a_proxy(office: Proxied, tmp_path: Path) -> None:
    """It names itself, both for SMTP and POP3."""
    (tmp_path / "letter").write_bytes(b"Subject: by curl\r\n\r\nhello\r\n")
    envelope = ("--mail-from", "friend@far.test", "--mail-rcpt", "alice@office.test")
    letter = ("--upload-file", tmp_path / "letter")
    run("curl", "-sS", "--haproxy-protocol", f"smtp://127.0.0.1:{office.smtp_behind}/client.test", *envelope, *letter)
    (file,) = office.wait_for_files("alice")
    url = f"pop3://127.0.0.1:{office.pop3_behind}/1"
    said = run("curl", "-sS", "--haproxy-protocol", url, "--user", f"alice@{DOMAIN}:{PASSWORD}").stdout
    assert "Subject: by curl" in said
    file.unlink()


def test_who_is_no_proxy(office: Proxied) -> None:
    """No word for it, one line in the log, no traceback."""
    for _ in range(20):
        with pytest.raises(ConnectionError):
            _say(office.smtp_behind, b"GET / HTTP/1.1\r\n\r\n")
    assert len(office.logged("proxy: cut 127.0.0.1: it does not begin with a PROXY header")) == 1
    assert "Traceback" not in office.log()


def _say(port: int, octets: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), 20) as client:
        client.sendall(octets)
        if not client.recv(1):
            raise ConnectionError


def test_proxy_that_is_not_listed(tmp_path: Path, module_sink: Sink) -> None:
    office = Proxied(tmp_path, module_sink, proxies="127.0.0.2")
    try:
        office.start()
        for _ in range(20):
            with pytest.raises(ConnectionError):
                _say(office.smtp_behind, b"PROXY TCP4 203.0.113.9 192.0.2.1 1 25\r\n")
        assert len(office.logged("warn: proxy: cut 127.0.0.1: it is not in [server] proxies")) == 1
    finally:
        office.close()


# ---- HAProxy

HAPROXY = """
global
    maxconn 100
defaults
    mode tcp
    timeout connect 5s
    timeout client 1m
    timeout server 1m
listen smtp
    bind 127.0.0.1:{smtp}
    option smtpchk EHLO haproxy.test
    server office 127.0.0.1:{smtp_behind} {send} check check-send-proxy inter 200ms
listen pop3
    bind 127.0.0.1:{pop3}
    server office 127.0.0.1:{pop3_behind} {send}
listen stats
    mode http
    bind 127.0.0.1:{stats}
    stats enable
    stats uri /stats
"""


@pytest.mark.parametrize("send", ["send-proxy", "send-proxy-v2"])
def test_haproxy(office: Proxied, tmp_path: Path, send: str) -> None:
    """It finds the server in good health (by version 2 with the command LOCAL), and its client is who calls it."""
    smtp, pop3, stats = free_ports(3)
    places = {"smtp": smtp, "pop3": pop3, "stats": stats, "send": send}
    behind = {"smtp_behind": office.smtp_behind, "pop3_behind": office.pop3_behind}
    (tmp_path / "haproxy.cfg").write_text(HAPROXY.format(**places, **behind))
    with subprocess.Popen([program("haproxy"), "-db", "-f", tmp_path / "haproxy.cfg"]) as haproxy:
        try:
            assert eventually(lambda: _healthy(stats))
            with Wire(smtp, "127.0.0.3") as wire:
                wire.envelope("friend@far.test", "alice@office.test")
                assert wire.ask(b"Subject: through HAProxy\r\n\r\n.").startswith("250 ")
            assert "([127.0.0.3])" in last_letter(office)
            assert office.wait_for_log("client=unknown[127.0.0.3]")
            with Wire(smtp, "127.0.0.4") as wire:
                assert wire.envelope("friend@far.test", "victim@elsewhere.test")[1].startswith("550 5.7.1 ")
            client = smtplib.SMTP("127.0.0.1", smtp, "laptop.test", timeout=30, source_address=("127.0.0.5", 0))
            client.starttls(context=UNVERIFIED)
            client.sendmail("friend@far.test", ["alice@office.test"], "Subject: with TLS\r\n\r\n")
            client.quit()
            assert "([127.0.0.5])\n\t(using TLS" in last_letter(office)
        finally:
            haproxy.terminate()
    assert "Traceback" not in office.log()


def _healthy(stats: int) -> bool:
    """HAProxy's own view of the server: its check was answered."""
    try:
        table = urlopen(f"http://127.0.0.1:{stats}/stats;csv", timeout=5).read().decode()
    except OSError:
        return False
    return any(line.startswith("smtp,office,") and "L7OK" in line for line in table.splitlines())


# ---- XCLIENT


def test_swaks_with_xclient(office: Proxied, module_sink: Sink) -> None:
    """127.0.0.1 may relay, and the client that it names may not."""
    place = ("--server", "127.0.0.1", "--port", office.port.smtp)
    away = ("--from", "friend@far.test", "--to", "victim@elsewhere.test", "--hide-all")
    named = ("--xclient-addr", CLIENT, "--xclient-name", "far.test", "--xclient-helo", "laptop.far.test")
    run("swaks", *place, *away)
    assert eventually(lambda: module_sink.letters)
    run("swaks", *place, *away, *named, code=24)
    assert office.wait_for_log(f"reject: RCPT from far.test[{CLIENT}]: 550 5.7.1", "helo=<laptop.far.test>")
    run("swaks", *place, *ENVELOPE, *named)
    assert f"Received: from laptop.far.test (far.test [{CLIENT}])\n" in last_letter(office)
    run("swaks", *place, *ENVELOPE, "--xclient-addr", f"IPV6:{CLIENT6}", "-tls")
    assert f"([IPv6:{CLIENT6}])" in last_letter(office)
    run("swaks", *place, *ENVELOPE, "--xclient-addr", CLIENT, "-tls", "--xclient-before-starttls")
    assert f"([{CLIENT}])" in last_letter(office)


def test_swaks_with_xclient_login(office: Proxied) -> None:
    """A proxy that has asked for the password itself; on the port of users alone."""
    named = ("--xclient-addr", CLIENT, "--xclient-login", "alice@office.test")
    letter = ("--from", "alice@office.test", "--to", "alice@office.test", "--hide-all")
    run("swaks", "--server", "127.0.0.1", "--port", office.port.submission, *letter, *named)
    assert "with ESMTPA" in last_letter(office)
    assert office.wait_for_log(f"unknown[{CLIENT}]: logged in by XCLIENT from unknown[127.0.0.1]")
    nobody = ("--xclient-addr", CLIENT, "--xclient-login", "nobody@office.test")
    run("swaks", "--server", "127.0.0.1", "--port", office.port.submission, *letter, *nobody, code=33)
    run("swaks", "--server", "127.0.0.1", "--port", office.port.smtp, *letter, *named, code=33)


def test_xclient_is_for_who_is_listed(office: Proxied) -> None:
    with Wire(office.port.smtp, "127.0.0.7") as wire:
        assert "XCLIENT" not in wire.ask(b"EHLO stranger.test")
        assert wire.ask(b"XCLIENT ADDR=127.0.0.1").startswith("550 5.7.0 ")
        assert wire.ask(b"MAIL FROM:<friend@far.test>").startswith("250 ")
        assert wire.ask(b"RCPT TO:<victim@elsewhere.test>").startswith("550 5.7.1 ")
