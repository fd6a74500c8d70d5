"""``mailstack trace``: the way of a letter."""

from __future__ import annotations

import json
import os
import time
import tomllib
from pathlib import Path
from string import Formatter

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from mailstack.admin.cli import main
from mailstack.admin.site import Site
from mailstack.admin.trace import read_phrases
from mailstack.admin.trace_sentences import Traced, span
from mailstack.admin.trace_sheet import as_object, sheet
from mailstack.message import clues
from mailstack.message.clues import beside
from mailstack.message.explain import LANGUAGES
from mailstack.message.fields import fields
from mailstack.message.journey import Ours, journey
from mailstack.message.received import stamp
from tests.admin.office import Office

LETTER = b"""\
Return-Path: <friend@far.test>
Delivered-To: alice@office.test
Received: from mx.far.test ([203.0.113.9])
\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384)
\tby mail.office.test (mailstack) with ESMTPS id K0YEACMR8AN7
\tfor <alice@office.test>;
\tMon, 23 Nov 2026 15:52:29 +0000
Received: from relay.far.test (relay.far.test [203.0.113.5])
\tby mx.far.test (Postfix) with ESMTP id 4XyzAB1cD2
\tfor <alice@office.test>; Mon, 23 Nov 2026 16:52:21 +0100 (CET)
Received: from [192.0.2.7] (helo=pc) by relay.far.test with esmtpsa  (TLS1.0) tls
 ECDHE_RSA (Exim 4.96) id 1q; Mon, 23 Nov 2026 15:52:25 +0000
From: Friend <friend@far.test>
To: alice@office.test
Date: Mon, 23 Nov 2026 15:52:20 +0000
Message-ID: <1@far.test>

body
"""

EXPECTED = """\
Hop 1     2026-11-23T15:52:25Z
  from    192.0.2.7, calls itself pc
  by      relay.far.test (Exim 4.96)
  with    esmtpsa: encrypted, TLSv1, ECDHE_RSA, outdated, logged in
  id      1q

Hop 2     2026-11-23T15:52:21Z  -4s
  from    203.0.113.5, in DNS relay.far.test, calls itself relay.far.test
  by      mx.far.test (Postfix)
  with    ESMTP: not encrypted
  id      4XyzAB1cD2
  for     alice@office.test
  Either the clock of relay.far.test is ahead or that of mx.far.test is behind, by at least 4s. Or the line is invented.

──── Everything above could be invented; what follows was written by our own servers.

Hop 3     2026-11-23T15:52:29Z  +8s
  from    203.0.113.9, calls itself mx.far.test
  by      mail.office.test (mailstack)
  with    ESMTPS: encrypted, TLSv1.3, TLS_AES_256_GCM_SHA384
  id      K0YEACMR8AN7
  for     alice@office.test

Total     The times do not say how long it took.
Sure      The last sure fact: the letter came to mail.office.test from the address 203.0.113.9. What is older was \
brought along from there, and could be invented.

Envelope
  Return-Path     <friend@far.test>
  Delivered-To    alice@office.test

Header
  From            Friend <friend@far.test>
  To              alice@office.test
  Date            Mon, 23 Nov 2026 15:52:20 +0000
  Message-ID      <1@far.test>
"""


@pytest.fixture
def letter(office: Office) -> Path:
    path = office.folder / "letter.eml"
    path.write_bytes(LETTER)
    return path


def test_letter(office: Office, letter: Path) -> None:
    assert office.run("trace", "--lang", "en", str(letter)).stdout == EXPECTED


def test_standard_input_with_crlf(office: Office) -> None:
    crlf = b"From friend@far.test Mon Nov 23 15:52:29 2026\n" + LETTER.replace(b"\n", b"\r\n")
    assert office.run("trace", "--lang", "en", "-", input=crlf).stdout == EXPECTED


def test_trusted_hosts(office: Office, letter: Path) -> None:
    """Both belong to it: who has written the line, and from where it came."""

    def sure(*hosts: str) -> list[bool]:
        found = office.json("trace", str(letter), *(word for host in hosts for word in ("--trust", host)))
        return [hop["sure"] for hop in found["hops"]]

    assert sure() == sure("mx.far.test") == sure("203.0.113.9") == [False, False, True]
    assert sure("mx.far.test", "203.0.113.9") == sure(".far.test", "203.0.113.8/30") == [False, True, True]
    assert sure(".FAR.test", "203.0.113.0/24") == [True, True, True]


def test_json(office: Office, letter: Path) -> None:
    found = office.json("trace", str(letter), "--lang", "en", "--trust", ".far.test", "--trust", "203.0.113.9")
    assert found["hops"][2] == {
        "hop": 3,
        "sure": True,
        "time": "2026-11-23T15:52:29Z",
        "delay": 8,
        "slowest": True,
        "readable": True,
        "helo": "mx.far.test",
        "name": "",
        "address": "203.0.113.9",
        "by": "mail.office.test",
        "software": "mailstack",
        "via": "",
        "with": "ESMTPS",
        "encrypted": True,
        "tls": {"version": "TLSv1.3", "cipher": "TLS_AES_256_GCM_SHA384"},
        "authenticated": False,
        "login": "",
        "id": "K0YEACMR8AN7",
        "for": "alice@office.test",
        "date": "Mon, 23 Nov 2026 15:52:29 +0000",
        "raw": "from mx.far.test ([203.0.113.9]) (using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384) "
        "by mail.office.test (mailstack) with ESMTPS id K0YEACMR8AN7 for <alice@office.test>; "
        "Mon, 23 Nov 2026 15:52:29 +0000",
    }
    assert found["skipped"] == 0 and found["total"] == 8
    assert found["border"]["hop"] == 2 and found["border"]["reason"] == "claimed"
    assert found["border"]["address"] == "203.0.113.5"
    assert found["border"]["text"].endswith("--trust 203.0.113.5")
    assert [(each["hop"], each["ahead"], each["seconds"], each["or_hop"]) for each in found["clocks"]] == [
        (1, True, 4, None)
    ]
    assert found["envelope"][0] == {"name": "Return-Path", "text": "<friend@far.test>", "sure": True}
    assert found["clues"] == found["verdicts"] == []


def test_chinese(office: Office, letter: Path) -> None:
    text = office.run("trace", "--lang", "zh", str(letter)).stdout
    assert text.startswith("第 1 跳   2026-11-23T15:52:25Z\n  from    192.0.2.7, 自称 pc\n")
    assert "最后一个可信的事实：邮件从地址 203.0.113.9 到达 mail.office.test。" in text  # noqa: RUF001
    assert "invented" not in text


def test_terminal_without_chinese(office: Office, letter: Path) -> None:
    """It shows escapes."""
    words = ["trace", "--lang", "zh", str(letter)]
    result = CliRunner(charset="latin-1").invoke(main, words, obj=Site(office.ini))
    assert result.exit_code == 0
    assert result.stdout.startswith("\\u7b2c 1 \\u8df3 ")


def test_letter_of_a_colleague(office: Office) -> None:
    """It has passed one server, ours."""
    letter = (
        b"Received: from pc ([192.0.2.7]) by mail.office.test (mailstack) with ESMTPSA id 1; x\nFrom: a@office.test\n"
    )
    text = office.run("trace", "-", "--lang", "en", input=letter).stdout
    assert "from the address 192.0.2.7, from somebody who had logged in. There is no older line.\n" in text
    assert "could be invented" not in text
    assert "\nTotal" not in text


def test_letter_of_a_script(office: Office) -> None:
    """It may have invented what is older."""
    letter = b"Received: by mail.office.test (mailstack, from userid 33) id 1; x\nFrom: a@office.test\n"
    text = office.run("trace", "-", "--lang", "en", input=letter).stdout
    assert "a program on mail.office.test itself has sent the letter. There is no older line.\n" in text
    text = office.run("trace", "-", "--lang", "en", input=letter.replace(b"From:", letter + b"From:")).stdout
    assert "itself has sent the letter. What is older was brought along from there, and could be invented.\n" in text


def test_letter_of_a_host_of_ours(office: Office) -> None:
    letter = (
        b"Received: from pc ([192.0.2.7]) by mail.office.test (mailstack) with ESMTP id 1; x\nFrom: a@office.test\n"
    )
    text = office.run("trace", "-", "--lang", "en", "--trust", "192.0.2.7", input=letter).stdout
    assert "the letter began here." in text


def test_forged_line(office: Office) -> None:
    """It says that it is ours, but stands below a line that says it came from elsewhere."""
    forged = b"Received: from boss ([127.0.0.1]) by mail.office.test (mailstack) with ESMTPSA id 1;"
    forged += b" Mon, 23 Nov 2026 15:50:00 +0000\n"
    head, _, tail = LETTER.partition(b"Received: from relay")
    text = office.run("trace", "-", "--lang", "en", input=head + forged + b"Received: from relay" + tail).stdout
    assert text.count("by      mail.office.test (mailstack)") == 2
    assert "most likely the line is forged. If it is one: --trust 203.0.113.9" in text
    assert (
        text.index("with    ESMTPSA")
        < text.index("──── Everything above could be invented")
        < text.index("with    ESMTPS:")
    )


def test_letter_from_elsewhere(office: Office) -> None:
    letter = b"Received: from a.test by mx.other.test with SMTP; x\nFrom: a@b.test\n"
    text = office.run("trace", "-", "--lang", "en", input=letter).stdout
    assert "Sure      Nothing: the newest line is by mx.other.test" in text
    assert "────" not in text


def test_letter_without_hops(office: Office) -> None:
    text = office.run("trace", "-", "--lang", "en", input=b"From: a@b.test\nSubject: draft\n\nbody\n").stdout
    assert text.startswith("Sure      Nothing: there is no Received line.")
    assert office.run("trace", "-", "--json", input=b"From: a@b.test\n").exit_code == 0


@pytest.mark.parametrize(
    "content", [b"", b"\n\n\n", b"Hello, this is no letter.\n", bytes(range(256)) * 100, b"x" * 2_000_000]
)
def test_no_letter(office: Office, content: bytes) -> None:
    result = office.run("trace", "-", input=content)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: -: this is not a letter: it does not begin with header fields\n"


def test_no_file(office: Office) -> None:
    for name in ("missing\x1b[31m", str(office.folder)):
        result = office.run("trace", name)
        assert result.exit_code == 1
        assert result.stderr.startswith("Error: ") and "\x1b" not in result.stderr


@pytest.mark.parametrize("host", ["", "a b", "x@y", "192.0.2.0/99", "\x1b[31m", "."])
def test_wrong_host(office: Office, letter: Path, host: str) -> None:
    result = office.run("trace", str(letter), "--trust", host)
    assert result.exit_code == 64
    assert "is neither a host, nor an address, nor a network." in result.stderr
    assert "\x1b" not in result.stderr


HOSTILE = b"".join(
    [
        b"Received: from \x1b[31m\x00\xff\xfe (\xc4\xe3\xba\xc3 [192.0.2.1]) by \x1b]0;x\x07 with ESMTP;"
        b" Tue, 24 Nov 0000 12:00:00 +9999\n",
        b"Received: " + b"(" * 5_000 + b")" * 5_000 + b" by x.test; x\n",
        b"Received: from a by b by c\n",
        b"Received: " + b"y" * 1_000_000 + b"\n",
        b"Received:\n",
        b"From: \x1b[2J\xe2\x80\xae <x\x00@y>\n",
        b"Message-ID: <" + b"z" * 100_000 + b"@" + b"z" * 100_000 + b">\n",
        b"Received: from a.test by b.test with SMTP; Tue, 24 Nov 2026 12:00:00 +0000\n" * 10_000,
    ]
)


def test_hostile_letter(office: Office) -> None:
    """Bounded, clean and quick."""
    began = time.process_time()
    result = office.run("trace", "-", "--lang", "en", input=HOSTILE)
    assert time.process_time() - began < 5
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("9,905 older Received lines are not shown.\n")
    assert len(result.stdout) < 40_000
    assert all(line.isprintable() for line in result.stdout.splitlines())
    assert result.stdout.count("This line cannot be read with certainty; it says:") == 4
    assert len(json.loads(office.run("trace", "-", "--json", input=HOSTILE).stdout)["hops"]) == 100


def test_endless_header(office: Office) -> None:
    result = office.run("trace", "-", "--lang", "en", input=b"X: " + b"y" * 5_000_000)
    assert result.stdout.endswith("The header is longer than 4,194,304 octets; the rest was not looked at.\n")


@pytest.mark.skipif(os.name != "posix", reason="needs /dev/zero")
def test_endless_file(office: Office) -> None:
    assert office.run("trace", "/dev/zero").exit_code == 1


def test_spans() -> None:
    assert [span(each) for each in (0, 59, -60, 3723, 90_061)] == ["0s", "59s", "1m", "1h 2m 3s", "1d 1h 1m 1s"]


def test_every_sentence_is_there_in_each_language() -> None:
    table = read_phrases("en").table
    for kind, entries in table.items():
        for name, entry in entries.items():
            assert set(entry) == set(LANGUAGES), name
            facts = [{field for _, field, _, _ in Formatter().parse(text) if field} for text in entry.values()]
            assert facts[0] == facts[1], f"{kind}.{name}"


def test_every_clue_has_a_sentence() -> None:
    """The names stand in the code as words, so they are looked for there."""
    text = Path(str(clues.__file__)).read_text("utf-8")
    known = tomllib.loads((Path(str(clues.__file__)).parent / "meaning/trace.toml").read_text("utf-8"))["clues"]
    assert [name for name in known if f'"{name}"' not in text and name not in ("srs", "batv", "verp")] == []


OURS = Ours(frozenset({"mail.office.test"}), frozenset({"office.test"}))
PIECES = st.sampled_from(
    [LETTER[:300], LETTER[300:600], b"Received: ", b"\n", b" by mail.office.test", b"; ", b"\0", b"\xff", b"("]
)


@given(st.lists(PIECES | st.binary(max_size=20)).map(b"".join), st.sampled_from(LANGUAGES))
def test_any_octets(octets: bytes, language: str) -> None:
    """Whatever is read can be shown."""
    found = fields(octets)
    way = journey([stamp(each.text) for each in found if each.name == "received"], OURS)
    traced, phrases = Traced(way, beside(found, way, OURS), cut=False), read_phrases(language)
    assert "\n".join(sheet(traced, phrases)).encode()
    assert as_object(traced, phrases)
