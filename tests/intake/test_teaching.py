"""HELP knows what the parser knows."""

from __future__ import annotations

import pytest

from mailstack.intake.teaching import help_on
from mailstack.protocol.smtp_commands import PARSERS

OBSOLETE = {"SEND", "SOML", "SAML", "TURN"}
FOR_PROXIES = {"XCLIENT"}


@pytest.mark.parametrize("verb", sorted(set(PARSERS) - OBSOLETE))
def test_every_command_is_explained(verb: str) -> None:
    reply = help_on(verb, proxy=True)
    assert reply.code == 214
    assert reply.text.startswith(verb)
    assert verb in help_on("", proxy=True).text
    assert len(reply.wire()) <= 512  # RFC 5321 §4.5.3.1.5


@pytest.mark.parametrize("verb", sorted(FOR_PROXIES))
def test_what_is_for_proxies_is_told_to_proxies(verb: str) -> None:
    assert help_on(verb).code == 504
    assert verb not in help_on("").text


@pytest.mark.parametrize("topic", ["", "X", "MAIL "])
def test_replies_fit_their_lines(topic: str) -> None:
    assert all(len(line) <= 510 for line in help_on(topic).wire().split(b"\r\n"))
