"""The PROXY header: who is announced, what is none, and that it may come in any pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.protocol.proxy_header import MAX_V1, MAX_V2, SIGNATURE, Announced, Malformed, ProxyHeader

V4 = bytes([203, 0, 113, 9, 192, 0, 2, 1]) + b"\xc3\x50\x00\x19"
V6 = bytes.fromhex("20010db8000000000000000000000009") + bytes(16) + b"\xc3\x50\x00\x19"


def second(command: int, family: int, rest: bytes, length: int | None = None) -> bytes:
    return SIGNATURE + bytes([command, family]) + (len(rest) if length is None else length).to_bytes(2, "big") + rest


GOOD = [
    (b"PROXY TCP4 203.0.113.9 192.0.2.1 50000 25\r\n", "203.0.113.9"),
    (b"PROXY TCP4 203.0.113.9 192.0.2.1 0 65535\r\n", "203.0.113.9"),
    (b"PROXY TCP6 2001:DB8::9 2001:db8::1 50000 25\r\n", "2001:db8::9"),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN ffff::1 whatever 1 2 3\r\n", None),
    (second(0x21, 0x11, V4), "203.0.113.9"),
    (second(0x21, 0x11, V4 + b"\x03\x00\x04crc!"), "203.0.113.9"),
    (second(0x21, 0x21, V6), "2001:db8::9"),
    (second(0x20, 0x00, b""), None),
    (second(0x20, 0x11, V4), None),
    (second(0x21, 0x00, b"anything"), None),
    (second(0x21, 0x31, bytes(216)), None),
    (second(0x21, 0x11, V4.ljust(MAX_V2 - 16, b"\0")), "203.0.113.9"),
]

BAD = [
    b"EHLO client.test\r\n",
    b"\r\n\r\n\0\r\nQUIX",
    b"proxy TCP4 203.0.113.9 192.0.2.1 50000 25\r\n",
    b"PROXY \r\n",
    b"PROXY TCP4\r\n",
    b"PROXY TCP4 203.0.113.9 192.0.2.1 50000\r\n",
    b"PROXY TCP4 203.0.113.9 192.0.2.1 50000 25 \r\n",
    b"PROXY TCP4  203.0.113.9 192.0.2.1 50000 25\r\n",
    b"PROXY TCP4 203.0.113.9 192.0.2.1 x 25\r\n",
    b"PROXY TCP4 203.0.113.9 192.0.2.1 50000 65536\r\n",
    b"PROXY TCP4 203.0.113.9 192.0.2.1 050 25\r\n",
    b"PROXY TCP4 nonsense 192.0.2.1 1 2\r\n",
    b"PROXY TCP4 203.0.113.9 2001:db8::1 1 2\r\n",
    b"PROXY TCP4 2001:db8::9 2001:db8::1 1 2\r\n",
    b"PROXY TCP6 203.0.113.9 192.0.2.1 1 2\r\n",
    b"PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n",
    b"PROXY UDP4 203.0.113.9 192.0.2.1 1 2\r\n",
    b"PROXY TCP4 \xff\xfe 192.0.2.1 1 2\r\n",
    b"PROXY UNKNOWN ".ljust(MAX_V1 + 1, b"x"),
    b"PROXY UNKNOWN ".ljust(MAX_V1 - 1, b"x") + b"\r\n",
    second(0x11, 0x11, V4),
    second(0x22, 0x11, V4),
    second(0x21, 0x12, V4),
    second(0x21, 0x41, V4),
    second(0x21, 0x11, V4[:-1]),
    second(0x21, 0x21, V4),
    second(0x21, 0x11, V4, MAX_V2 - 15),
]


def bytewise(data: bytes) -> Announced | Malformed | None:
    header = ProxyHeader()
    for at in range(len(data)):
        found = header.feed(data[at : at + 1])
        if found is not None:
            return found
    return None


@pytest.mark.parametrize(("octets", "client"), GOOD)
@pytest.mark.parametrize("rest", [b"", b"EHLO client.test\r\n"])
def test_client_is_announced(octets: bytes, client: str | None, rest: bytes) -> None:
    """What comes behind the header is handed on, whatever it is."""
    assert ProxyHeader().feed(octets + rest) == Announced(client, rest)


@pytest.mark.parametrize(("octets", "client"), GOOD)
def test_header_in_pieces(octets: bytes, client: str | None) -> None:
    assert bytewise(octets) == Announced(client, b"")
    assert bytewise(octets[:-1]) is None


@pytest.mark.parametrize("octets", BAD)
def test_what_is_no_header(octets: bytes) -> None:
    assert isinstance(ProxyHeader().feed(octets), Malformed)
    assert isinstance(bytewise(octets), Malformed)


def test_longest_line() -> None:
    longest = b"PROXY UNKNOWN ".ljust(MAX_V1 - 2, b"x") + b"\r\n"
    assert ProxyHeader().feed(longest) == Announced(None, b"")


@given(st.one_of(st.binary(), st.binary().map(lambda rest: b"PROXY " + rest), st.binary().map(SIGNATURE.__add__)))
def test_any_octets(octets: bytes) -> None:
    """Never an exception, and nothing without end is waited for."""
    if ProxyHeader().feed(octets) is None:
        assert len(octets) < MAX_V2
