"""What Received fields say, as the well-known servers write them."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.message.received import CLAUSES, Stamp, stamp
from mailstack.message.received_tls import Tls
from mailstack.message.trace import Hop, received
from mailstack.model.address import Address
from mailstack.model.letter import Recipient

NOON = 1795521600  # Tue, 24 Nov 2026 12:00:00 +0000
DATE = "; Tue, 24 Nov 2026 12:00:00 +0000"

LINES: dict[str, tuple[str, dict[str, Any]]] = {
    "postfix": (
        "from laptop.far.test (dsl-7.isp.test [198.51.100.7]) (using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 "
        "(256/256 bits) key-exchange X25519 server-signature RSA-PSS (2048 bits) server-digest SHA256) (No client "
        "certificate requested) (Authenticated sender: friend) by mx.far.test (Postfix) with ESMTPSA id 4XyzAB1cD2 "
        "for <alice@office.test>; Tue, 24 Nov 2026 13:00:00 +0100 (CET)",
        {
            "helo": "laptop.far.test",
            "name": "dsl-7.isp.test",
            "address": "198.51.100.7",
            "by": "mx.far.test",
            "software": "Postfix",
            "protocol": "ESMTPSA",
            "id": "4XyzAB1cD2",
            "to": "alice@office.test",
            "login": "friend",
            "tls": Tls("TLSv1.3", "TLS_AES_256_GCM_SHA384"),
        },
    ),
    "postfix, address without a name": (
        f"from x.test (unknown [IPv6:2001:db8::7]) by mx.far.test (Postfix) with ESMTP id 4X{DATE}",
        {
            "helo": "x.test",
            "address": "2001:db8::7",
            "by": "mx.far.test",
            "software": "Postfix",
            "protocol": "ESMTP",
            "id": "4X",
        },
    ),
    "postfix, local": (
        f"by web.far.test (Postfix, from userid 33) id 4XyzAB{DATE}",
        {"by": "web.far.test", "software": "Postfix, from userid 33", "id": "4XyzAB"},
    ),
    "exim": (
        "from dsl-7.isp.test ([198.51.100.7]:51234 helo=laptop.local) by mx.far.test with esmtps  (TLS1.3) tls "
        "TLS_AES_256_GCM_SHA384 (Exim 4.96) (envelope-from <friend@far.test>) id 1qABCD-000123-4e for "
        f"alice@office.test{DATE}",
        {
            "helo": "laptop.local",
            "name": "dsl-7.isp.test",
            "address": "198.51.100.7",
            "by": "mx.far.test",
            "software": "Exim 4.96",
            "protocol": "esmtps",
            "id": "1qABCD-000123-4e",
            "to": "alice@office.test",
            "tls": Tls("TLSv1.3", "TLS_AES_256_GCM_SHA384"),
        },
    ),
    "exim, address first, a name that looks like another": (
        "from [198.51.100.7] (port=5555 helo=[203.0.113.1]) by mx.far.test with esmtpsa "
        f"(TLS1.2:ECDHE-RSA-AES256-GCM-SHA384:256) (Exim 4.80) id 1q{DATE}",
        {
            "helo": "[203.0.113.1]",
            "address": "198.51.100.7",
            "by": "mx.far.test",
            "software": "Exim 4.80",
            "protocol": "esmtpsa",
            "id": "1q",
            "tls": Tls("TLSv1.2", "ECDHE-RSA-AES256-GCM-SHA384"),
        },
    ),
    "exim, local": (
        f"from friend by mx.far.test with local (Exim 4.96) (envelope-from <friend@far.test>) id 1q{DATE}",
        {
            "helo": "friend",
            "by": "mx.far.test",
            "software": "Exim 4.96",
            "protocol": "local",
            "id": "1q",
        },
    ),
    "exchange": (
        "from AM0PR01MB1.eurprd01.prod.example (2001:db8:208:1::5) by DB7PR01MB2.eurprd01.prod.example "
        "(2001:db8:10::7) with Microsoft SMTP Server (version=TLS1_2, cipher=TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384) "
        f"id 15.20.8158.21 via Frontend Transport{DATE}",
        {
            "helo": "AM0PR01MB1.eurprd01.prod.example",
            "address": "2001:db8:208:1::5",
            "by": "DB7PR01MB2.eurprd01.prod.example",
            "protocol": "Microsoft SMTP Server",
            "id": "15.20.8158.21",
            "via": "Frontend Transport",
            "tls": Tls("TLSv1.2", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"),
        },
    ),
    "exchange, mapi": (
        f"from EX1.corp.test ([fe80::1]) by EX2.corp.test ([fe80::2%12]) with mapi id 15.20.8158.21{DATE}",
        {
            "helo": "EX1.corp.test",
            "address": "fe80::1",
            "by": "EX2.corp.test",
            "protocol": "mapi",
            "id": "15.20.8158.21",
        },
    ),
    "exchange, TLS and no more": (
        f"from a.test (192.0.2.4) by b.test (192.0.2.5) with Microsoft SMTP Server (TLS) id 8.3{DATE}",
        {
            "helo": "a.test",
            "address": "192.0.2.4",
            "by": "b.test",
            "protocol": "Microsoft SMTP Server",
            "id": "8.3",
            "tls": Tls(),
        },
    ),
    "gmail": (
        "from mail-x41.mail.example (mail-x41.mail.example. [192.0.2.41]) by mx.mail.example with ESMTPS id "
        "a1sor2.3.2026 for <alice@office.test> (version=TLS1_3 cipher=TLS_AES_128_GCM_SHA256 bits=128/128); Tue, 24 "
        "Nov 2026 04:00:00 -0800 (PST)",
        {
            "helo": "mail-x41.mail.example",
            "name": "mail-x41.mail.example",
            "address": "192.0.2.41",
            "by": "mx.mail.example",
            "protocol": "ESMTPS",
            "id": "a1sor2.3.2026",
            "to": "alice@office.test",
            "tls": Tls("TLSv1.3", "TLS_AES_128_GCM_SHA256"),
        },
    ),
    "gmail, between its own": (
        f"by 2002:a05:6a00:1:b0:7 with SMTP id x12csp345{DATE}",
        {"by": "2002:a05:6a00:1:b0:7", "protocol": "SMTP", "id": "x12csp345"},
    ),
    "gmail, its own TLS": (
        "from h.test (h.test. [192.0.2.1]) by mx.mail.example with SMTPS id q1 for <a@b.test> (Google Transport "
        f"Security){DATE}",
        {
            "helo": "h.test",
            "name": "h.test",
            "address": "192.0.2.1",
            "by": "mx.mail.example",
            "protocol": "SMTPS",
            "id": "q1",
            "to": "a@b.test",
            "tls": Tls(),
        },
    ),
    "coremail": (
        "from mail.office.test (unknown [192.0.2.7]) by mx29 (Coremail) with SMTP id XsCowABnb3Lq; Tue, 24 Nov 2026 "
        "20:00:00 +0800 (CST)",
        {
            "helo": "mail.office.test",
            "address": "192.0.2.7",
            "by": "mx29",
            "software": "Coremail",
            "protocol": "SMTP",
            "id": "XsCowABnb3Lq",
        },
    ),
    "coremail, by its web page": (
        "from friend$163.example ( [192.0.2.9] ) by ajax-webmail-wmsvr-40-123 (Coremail) ; Tue, 24 Nov 2026 20:00:00 "
        "+0800 (CST)",
        {
            "helo": "friend$163.example",
            "address": "192.0.2.9",
            "by": "ajax-webmail-wmsvr-40-123",
            "software": "Coremail",
        },
    ),
    "qq": (
        "from DESKTOP-AB12CD ( [192.0.2.11]) by bizesmtp85.qq.example (ESMTP) with id ; Tue, 24 Nov 2026 20:00:00 "
        "+0800 (CST)",
        {"helo": "DESKTOP-AB12CD", "address": "192.0.2.11", "by": "bizesmtp85.qq.example", "software": "ESMTP"},
    ),
    "qmail": (
        "from unknown (HELO far.test) (friend@198.51.100.7) by mx.far.test with (DHE-RSA-AES256-SHA encrypted) SMTP; "
        "24 Nov 2026 12:00:00 -0000",
        {
            "helo": "far.test",
            "address": "198.51.100.7",
            "login": "friend",
            "by": "mx.far.test",
            "protocol": "SMTP",
            "tls": Tls("", "DHE-RSA-AES256-SHA"),
        },
    ),
    "qmail, with a name": (
        "from dsl-7.isp.test (HELO x) (198.51.100.7) by mx.far.test with SMTP; 24 Nov 2026 12:00:00 -0000",
        {"helo": "x", "name": "dsl-7.isp.test", "address": "198.51.100.7", "by": "mx.far.test", "protocol": "SMTP"},
    ),
    "qmail, local": (
        "(qmail 12345 invoked by uid 89); 24 Nov 2026 12:00:00 -0000",
        {"note": "qmail 12345 invoked by uid 89"},
    ),
    "sendmail": (
        "from far.test (dsl-7.isp.test [198.51.100.7] (may be forged)) by mx.far.test (8.17.1/8.17.1) with ESMTPS id "
        "3AOC00ab012345 (version=TLSv1.3 cipher=TLS_AES_256_GCM_SHA384 bits=256 verify=NO) for <alice@office.test>; "
        "Tue, 24 Nov 2026 12:00:00 GMT",
        {
            "helo": "far.test",
            "name": "dsl-7.isp.test",
            "address": "198.51.100.7",
            "by": "mx.far.test",
            "software": "8.17.1/8.17.1",
            "protocol": "ESMTPS",
            "id": "3AOC00ab012345",
            "to": "alice@office.test",
            "tls": Tls("TLSv1.3", "TLS_AES_256_GCM_SHA384"),
        },
    ),
    "sendmail, local": (
        f"(from friend@localhost) by mx.far.test (8.17.1/8.17.1/Submit) id 3AOC00ab{DATE}",
        {"note": "from friend@localhost", "by": "mx.far.test", "software": "8.17.1/8.17.1/Submit", "id": "3AOC00ab"},
    ),
    "opensmtpd": (
        "from far.test (dsl-7.isp.test [198.51.100.7]) by mx.far.test (OpenSMTPD) with ESMTPS id 1234abcd "
        f"(TLSv1.3:TLS_CHACHA20_POLY1305_SHA256:256:NO) for <alice@office.test>{DATE}",
        {
            "helo": "far.test",
            "name": "dsl-7.isp.test",
            "address": "198.51.100.7",
            "by": "mx.far.test",
            "software": "OpenSMTPD",
            "protocol": "ESMTPS",
            "id": "1234abcd",
            "to": "alice@office.test",
            "tls": Tls("TLSv1.3", "TLS_CHACHA20_POLY1305_SHA256"),
        },
    ),
    "courier": (
        "from far.test (dsl-7.isp.test [::ffff:198.51.100.7]) (TLS: TLSv1.3,256bits,TLS_AES_256_GCM_SHA384) by "
        f"mx.far.test with UTF8SMTPS id 0000ABCD.1{DATE}",
        {
            "helo": "far.test",
            "name": "dsl-7.isp.test",
            "address": "198.51.100.7",
            "by": "mx.far.test",
            "protocol": "UTF8SMTPS",
            "id": "0000ABCD.1",
            "tls": Tls("TLSv1.3", "TLS_AES_256_GCM_SHA384"),
        },
    ),
    "dovecot": (
        f"from mx.far.test by backend.far.test with LMTP id aBcD/eFg (envelope-from <>) for <alice@office.test>{DATE}",
        {
            "helo": "mx.far.test",
            "by": "backend.far.test",
            "protocol": "LMTP",
            "id": "aBcD/eFg",
            "to": "alice@office.test",
        },
    ),
    "web mail": (
        f"from [192.0.2.80] by web1.mail.example via HTTP{DATE}",
        {"helo": "[192.0.2.80]", "address": "192.0.2.80", "by": "web1.mail.example", "via": "HTTP"},
    ),
    "names in any script": (
        f"from 例子.测试 ([192.0.2.1]) by mx.far.test with UTF8SMTP id 1 for <用户@例子.测试>{DATE}",
        {
            "helo": "例子.测试",
            "address": "192.0.2.1",
            "by": "mx.far.test",
            "protocol": "UTF8SMTP",
            "id": "1",
            "to": "用户@例子.测试",
        },
    ),
    "a client that calls itself by": (
        f"from by (unknown [192.0.2.1]) by mx.far.test (Postfix) with SMTP id 1{DATE}",
        {
            "helo": "by",
            "address": "192.0.2.1",
            "by": "mx.far.test",
            "software": "Postfix",
            "protocol": "SMTP",
            "id": "1",
        },
    ),
    "a client that calls itself nothing": (
        f"from  (unknown [192.0.2.1]) by mx.far.test (Postfix) with SMTP id 1{DATE}",
        {"address": "192.0.2.1", "by": "mx.far.test", "software": "Postfix", "protocol": "SMTP", "id": "1"},
    ),
}


@pytest.mark.parametrize("name", LINES)
def test_well_known_servers(name: str) -> None:
    line, facts = LINES[name]
    found = stamp(line)
    assert found == Stamp(line, readable=True, date=found.date, time=NOON, **facts)


@pytest.mark.parametrize("protocol", ["SMTP", "ESMTPS", "ESMTPSA", "UTF8SMTPSA"])
@pytest.mark.parametrize("helo", ["far.test", "[192.0.2.7]", "my?pc"])
def test_our_own(protocol: str, helo: str) -> None:
    """What we write, we can read."""
    secure = "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384" if "S" in protocol.partition("SMTP")[2] else ""
    alice = Address("alice", "office.test")
    hop = Hop(helo, "192.0.2.7", "mail.office.test", protocol, secure, "dsl.test")
    line = " ".join(received(hop, "ID1", (Recipient(alice, alice),), NOON).decode().split()).removeprefix("Received: ")
    found = stamp(line)
    assert (found.helo, found.name, found.address) == (helo, "dsl.test", "192.0.2.7")
    assert (found.by, found.software, found.protocol, found.id) == ("mail.office.test", "mailstack", protocol, "ID1")
    assert (found.to, found.time, found.encrypted) == ("alice@office.test", NOON, bool(secure))
    assert found.authenticated == protocol.endswith("A")
    assert (found.tls is not None and found.tls.version == "TLSv1.3") == bool(secure)


def test_security() -> None:
    def encrypted(words: str) -> bool | None:
        return stamp(f"by mx.test {words}; x").encrypted

    assert encrypted("with SMTP") is False
    assert encrypted("with LMTPS") is True
    assert encrypted("with SMTP (TLSv1:AES:128)") is True
    assert encrypted("with HTTPS") is True
    assert encrypted("with HTTP") is None
    assert encrypted("with ESMTPX") is None
    assert stamp("by mx.test with esmtp (TLS1.0:AES:1)").tls == Tls("TLSv1", "AES")
    assert Tls("TLSv1").outdated and Tls("SSLv3").outdated and not Tls("TLSv1.2").outdated


@pytest.mark.parametrize(
    "line",
    [
        "",
        "(",
        "a) b",
        "hello world",
        "(((((by mx.test",
        # The client called itself "x by mail.office.test with ESMTP": nobody can tell which "by" is the server's.
        f"from x by mail.office.test with ESMTP (unknown [192.0.2.1]) by mx.far.test with SMTP{DATE}",
        f"before from x by y{DATE}",
    ],
)
def test_what_cannot_be_read_is_kept_as_it_is(line: str) -> None:
    found = stamp(line)
    assert not found.readable
    assert found.raw == line


def test_bad_dates_hurt_only_themselves() -> None:
    for date in ("", "; never", "; Tue, 24 Nov 0000 12:00:00 +0000", "; Tue, 24 Nov 2026 12:00:00 +9999"):
        found = stamp(f"from a.test by b.test{date}")
        assert found.readable and found.time is None
        assert found.date == date.removeprefix("; ")


def test_nested_comments() -> None:
    depth = 2000
    found = stamp(f"from a.test {'(' * depth}x{')' * depth} by b.test{DATE}")
    assert (found.by, found.time) == ("b.test", NOON)


@pytest.mark.parametrize("piece", ["(", ")", '"', "<", "[", ";", "by ", "from (", "a@", "helo=", "(using TLS ", "1:"])
def test_long_lines_take_no_time(piece: str) -> None:
    began = time.process_time()
    stamp(piece * (8192 // len(piece)))
    assert time.process_time() - began < 0.5


WORDS = st.sampled_from(
    [
        *CLAUSES,
        "(",
        ")",
        "[192.0.2.1]",
        "a.test",
        "<",
        ">",
        '"',
        ";",
        "HELO",
        "helo=x",
        "Exim ",
        "\0",
        "(x [::1])",
        "::",
        "%",
        DATE,
    ]
)


@given(st.text() | st.lists(WORDS | st.text(max_size=5)).map(" ".join))
def test_never_raises(line: str) -> None:
    found = stamp(line)
    assert found.raw == line
    assert found.encrypted in (True, False, None) and found.authenticated in (True, False)
