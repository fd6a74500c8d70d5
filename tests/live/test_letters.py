"""A real letter comes in and is fetched: identical, octet for octet, after the fields that we added."""

from __future__ import annotations

import email
import email.policy
from pathlib import Path

import pytest

from tests.live import clients, fetchers
from tests.live.fetchers import IMPLICIT, Fetch, Visit
from tests.live.letters import LARGE, RAW, SUBJECT, TEXT, split
from tests.live.office import Office


@pytest.mark.parametrize(
    ("send", "fetch", "user"),
    [
        (clients.swaks, fetchers.curl, "alice"),
        (clients.curl, fetchers.mpop, "bob"),
        (clients.swaks, fetchers.fetchmail, "carol"),
        (clients.curl, fetchers.mutt, "dave"),
    ],
)
def test_letter(office: Office, send: clients.Send, fetch: Fetch, user: str, tmp_path: Path) -> None:
    for number, letter in enumerate((LARGE, RAW), 1):
        send(office, user, letter, tmp_path)
        office.wait_for_files(user, number)
    fetched = fetch(Visit(office, user, IMPLICIT, "user", keep=True, folder=tmp_path))
    assert len(fetched) == 2
    fetched.sort(key=len, reverse=True)
    for got, sent in zip(fetched, (LARGE, RAW), strict=True):
        added = split(got, sent)
        assert added.startswith(b"Return-Path: <friend@far.test>")
        assert f"Delivered-To: {user}@office.test".encode() in added
        assert b"Received: from client.test ([127.0.0.1])" in added
    understood = email.message_from_bytes(fetched[0], policy=email.policy.default)
    assert understood["Subject"] == SUBJECT
    body = understood.get_body(("plain",))
    assert body is not None
    assert body.get_content().replace("\r\n", "\n").rstrip() == TEXT.rstrip()
    assert len(next(understood.iter_attachments()).get_content()) == 5_000_000
