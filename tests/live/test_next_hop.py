"""Mail for elsewhere: to servers that nobody here wrote, and to where DNS says."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import letters
from tests.live.conftest import MakeOffice, next_hop
from tests.live.dns_server import DnsServer
from tests.live.fake_server import certificate
from tests.live.office import Office, Sections
from tests.live.ports import free_ports
from tests.live.postfix import Postfix
from tests.live.programs import program
from tests.live.sink import Sink, refuse
from tests.live.test_queue import bounce_in, deferred
from tests.live.waiting import eventually

LARGE, RAW = (letters.written_by("alice@office.test", letter) for letter in (letters.LARGE, letters.RAW))


def send(office: Office, letter: bytes, *recipients: str) -> None:
    """As 8BITMIME, when there are such octets."""
    with office.submission("alice") as client:
        client.sendmail("alice@office.test", recipients or ["x@away.test"], letter, mail_options=["BODY=8BITMIME"])


@pytest.fixture
def postfix(open_folder: Path) -> Postfix:
    """In a folder that its daemons can enter."""
    certificate(open_folder, "mx.away.test")
    return Postfix(open_folder / "postfix", open_folder / "server.pem")


def test_postfix(make_office: MakeOffice, postfix: Postfix) -> None:
    """It greylists at first, later takes the letters over TLS, and delivers them as they were."""
    postfix.recipient_access("x@away.test 450 4.7.1 Greylisted\n")
    office = make_office({"routes": {"*": f"smtp:[127.0.0.1]:{postfix.port}"}, "queue": {"retry": "1s"}}).start()
    with postfix:
        send(office, LARGE)
        send(office, RAW)
        deferred(office, 2)
        assert "Greylisted" in office.queue()[0]["recipients"][0]["last_reply"]
        postfix.recipient_access("")
        postfix.reload()
        assert eventually(lambda: len(postfix.letters()) == 2)
        office.wait_for_empty_queue()
        delivered = sorted((path.read_bytes() for path in postfix.letters()), key=len, reverse=True)
    for got, sent in zip(delivered, (LARGE, RAW), strict=True):
        assert got.endswith(sent.replace(b"\r\n", b"\n"))
        assert b"with ESMTPSA id" in got  # the user's hop
        assert b"(Postfix) with ESMTPS id" in got  # ours
    assert "queued as" in office.wait_for_log("to=<x@away.test>", "status=sent (250 2.0.0 Ok")


@contextlib.contextmanager
def smtp_sink(port: int, *options: str) -> Iterator[None]:
    """Postfix's test server."""
    command = [program("smtp-sink"), *options, f"127.0.0.1:{port}", "10"]
    if os.geteuid() == 0:
        command[1:1] = ["-u", "root"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def test_smtp_sink(make_office: MakeOffice, tmp_path: Path) -> None:
    """4xx at first, to RCPT and then to the data; 250 later."""
    (port,) = free_ports(1)
    office = make_office({"routes": {"*": f"smtp:[127.0.0.1]:{port}"}, "queue": {"retry": "1s"}}).start()
    with smtp_sink(port, "-r", "RCPT"):
        send(office, RAW)
        office.wait_for_log("status=deferred (450 ")
    with smtp_sink(port, "-r", "."):
        assert eventually(lambda: len(office.logged("status=deferred (450 ")) == 2)
    with smtp_sink(port, "-d", f"{tmp_path}/sunk."):
        office.wait_for_empty_queue()
    (sunk,) = tmp_path.glob("sunk.*")
    assert sunk.read_bytes().rstrip().endswith(RAW.replace(b"\r\n", b"\n").rstrip())


def by_mx(sink: Sink, dns: DnsServer) -> Sections:
    """Foreign domains are looked up; whoever is found is called on the sink's port."""
    domains = ("away.test", "null.test", "gone.test", "broken.test", "plain.test")
    return {
        "routes": {domain: f"smtp:{domain}:{sink.port}" for domain in domains},
        "dns": {"servers": f"127.0.0.1:{dns.port}"},
        "queue": {"retry": "1h"},
    }


@pytest.fixture
def dns() -> Iterator[DnsServer]:
    zone = {
        ("away.test", "MX"): ["20 second.away.test.", "10 first.away.test."],
        ("first.away.test", "A"): ["127.0.0.2"],  # where nobody listens
        ("second.away.test", "A"): ["127.0.0.1"],
        ("plain.test", "A"): ["127.0.0.1"],
        ("null.test", "MX"): ["0 ."],
        ("evil.test", "MX"): ["10 mx.evil.test."],
        ("mx.evil.test", "A"): ["127.0.0.1", "0.0.0.0", "169.254.169.254"],
        ("mx.evil.test", "AAAA"): ["::1", "::ffff:127.0.0.1"],
    }
    with DnsServer(zone, broken=["broken.test"]) as running:
        yield running


def test_mail_exchangers(make_office: MakeOffice, sink: Sink, dns: DnsServer) -> None:
    """The best one first; when it does not answer, the next."""
    office = make_office(by_mx(sink, dns)).start()
    send(office, RAW)
    assert eventually(lambda: sink.letters)
    assert sink.letters[0].content.endswith(RAW)
    assert ("away.test", "MX", "udp") in dns.queries
    names = [name for name, kind, _ in dns.queries if kind == "A"]
    assert names.index("first.away.test") < names.index("second.away.test")
    sent = office.wait_for_log("to=<x@away.test>", "status=sent")
    assert f"relay=second.away.test[127.0.0.1]:{sink.port}" in sent


def test_domain_without_mx(make_office: MakeOffice, sink: Sink, dns: DnsServer) -> None:
    """Its address will do: RFC 5321 §5.1."""
    office = make_office(by_mx(sink, dns)).start()
    send(office, RAW, "x@plain.test")
    assert eventually(lambda: sink.letters)


@pytest.mark.parametrize(("domain", "status"), [("null.test", "5.1.10"), ("gone.test", "5.1.2")])
def test_domain_that_takes_no_mail(make_office: MakeOffice, dns: DnsServer, domain: str, status: str) -> None:
    """The sender hears of it at once: RFC 7505, and names that do not exist."""
    office = make_office({"dns": {"servers": f"127.0.0.1:{dns.port}"}, "routes": {"*": "mx"}}).start()
    send(office, RAW, f"x@{domain}")
    (path,) = office.wait_for_files("alice")
    _, fates, _ = bounce_in(path).iter_parts()
    recipient = fates.get_payload(1)
    assert (recipient["Action"], recipient["Status"]) == ("failed", status)
    office.wait_for_empty_queue()


@pytest.mark.parametrize("domain", ["null.test", "gone.test"])
def test_host_of_mail_ini_that_takes_no_mail(make_office: MakeOffice, sink: Sink, dns: DnsServer, domain: str) -> None:
    """It was written there by mistake, and somebody will mend it: no reason to return mail."""
    office = make_office(by_mx(sink, dns)).start()
    send(office, RAW, f"x@{domain}")
    deferred(office)
    assert f"mail.ini names {domain}, which is of no use" in office.queue()[0]["recipients"][0]["last_reply"]
    assert sink.heard == [] and office.files("alice") == []


def test_dns_fails(make_office: MakeOffice, sink: Sink, dns: DnsServer) -> None:
    """That says nothing about the domain: the letter waits."""
    office = make_office(by_mx(sink, dns)).start()
    send(office, RAW, "x@broken.test")
    deferred(office)
    assert office.queue()[0]["recipients"][0]["last_reply"].startswith("451 4.4.3 ")
    assert office.files("alice") == []


def test_stranger_that_points_to_our_loopback(make_office: MakeOffice, dns: DnsServer) -> None:
    """Nobody is called where only this machine's own services are; the sender hears why."""
    office = make_office({"dns": {"servers": f"127.0.0.1:{dns.port}"}, "routes": {"*": "mx"}}).start()
    send(office, RAW, "x@evil.test")
    bounced = office.wait_for_log("to=<x@evil.test>", "status=bounced")
    assert "relay=none" in bounced and "dsn=5.4.4" in bounced
    assert " of mx.evil.test belongs to this machine or to nobody" in bounced
    office.wait_for_empty_queue()


def test_route_that_leads_back(make_office: MakeOffice) -> None:
    """To our own port: the letter waits until mail.ini is mended, and does not go round."""
    office = make_office()
    office.configure({"routes": {"*": f"smtp:[127.0.0.1]:{office.port.smtp}"}})
    office.start()
    send(office, RAW)
    assert "dsn=4.4.6" in office.wait_for_log("to=<x@away.test>", "status=deferred")
    deferred(office)


def test_one_transaction_for_many_recipients(make_office: MakeOffice, sink: Sink) -> None:
    """Of one next hop; each has its own outcome."""
    sink.answer = refuse("RCPT TO:<BUSY@", "452 4.2.2 Mailbox full")
    office = make_office(next_hop(sink)).start()
    send(office, RAW, "a@away.test", "busy@away.test", "b@else.test")
    assert eventually(lambda: sink.letters)
    assert sink.letters[0].recipients == ["a@away.test", "b@else.test"]
    deferred(office)
    states = {each["address"]: each["state"] for each in office.queue()[0]["recipients"]}
    assert states == {"a@away.test": "sent", "busy@away.test": "deferred", "b@else.test": "sent"}
