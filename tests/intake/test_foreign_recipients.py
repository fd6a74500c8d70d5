"""Whatever a stranger writes into RCPT, no foreign address comes of it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.intake.test_one_message import play

WORDS = """alice victim office.test far.test backup.test mail.office.test 127.0.0.1 IPv6:::1 localhost OFFICE.TEST
    @ % ! : , " \\ < > [ ] ( ) . .. | / + =40 xn-- NOTIFY=NEVER"""
OCTETS = (" ", "\t", "\0", "\r", "\n", "\N{FULLWIDTH COMMERCIAL AT}", "\r\nRCPT TO:<victim@far.test>\r\n")
PARTS = st.sampled_from([*WORDS.split(), *OCTETS])
PATHS = st.lists(PARTS | st.text(max_size=3), max_size=14).map("".join)
OURS = {"office.test", "second.test", "backup.test"}


@settings(max_examples=1_000, deadline=None)
@given(PATHS, PATHS, st.booleans())
def test_a_stranger_reaches_nobody_outside(sender: str, recipient: str, brackets: bool) -> None:
    path = f"<{recipient}>" if brackets else recipient
    envelope = (
        f"EHLO client.test\r\nMAIL FROM:<{sender}>\r\nRSET\r\nMAIL FROM:<> SMTPUTF8\r\nRCPT TO:{path}\r\nDATA\r\n"
    )
    office, _ = play(envelope.encode("utf-8", "surrogatepass") + b"Subject: x\r\n\r\nx\r\n.\r\nQUIT\r\n", [])
    for letter in office.letters:
        assert {each.original.domain for each in letter.recipients} <= OURS
    assert not office.log.failures
