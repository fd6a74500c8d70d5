"""What each line of a session means, in its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailstack.message.commentary import Commentary
from mailstack.message.explain import ANY, Dictionary, Meaning
from mailstack.model.reply import Reply
from mailstack.model.transcript import Spoken
from tests import dialogue
from tests.message.meanings import DATA, DICTIONARIES, ENGLISH
from tests.protocol.test_smtp_dialogues import FILES, Server

GENERAL = {DATA["commands"][ANY][digit]["en"] for digit in "2345"}


def meanings(*lines: str, dictionary: Dictionary = ENGLISH) -> list[Meaning | None]:
    """Of lines such as ``C QUIT``."""
    spoken = [Spoken(0, line[0], line[2:]) for line in lines]
    commentary = list(Commentary(dictionary).lines(spoken))
    assert [line for line, _ in commentary] == spoken
    return [meaning for _, meaning in commentary]


def last(*lines: str) -> Meaning | None:
    return meanings(*lines)[-1]


def test_greeting() -> None:
    assert last("S 220 mail.office.test ESMTP") == ENGLISH.reply("greeting", 220)
    assert last("S 421 4.7.0 Too many") == ENGLISH.reply("greeting", 421, "4.7.0")


def test_what_the_server_says_by_itself() -> None:
    found = meanings("S 220 mail.office.test ESMTP", "S 421 4.7.0 That is TLS")
    assert found == [ENGLISH.reply("greeting", 220), ENGLISH.reply("any", 421, "4.7.0")]
    assert last("C NOOP", "S 250 Ok", "S 421 4.4.2 Silent") == ENGLISH.reply("any", 421, "4.4.2")


def test_reply_belongs_to_the_command_before_it() -> None:
    found = meanings("C RCPT TO:<a@far.test>", "S 550 5.7.1 Relaying denied", "C NOOP", "S 250 2.0.0 Ok")
    assert found == [
        ENGLISH.command("RCPT", "RCPT TO:<a@far.test>"),
        ENGLISH.reply("RCPT", 550, "5.7.1"),
        ENGLISH.command("NOOP"),
        ENGLISH.reply("NOOP", 250),
    ]


def test_ehlo() -> None:
    """Each line of the answer has a meaning of its own; what nobody knows has none."""
    found = meanings(
        "C EHLO a", "S 250-mail greets a", "S 250-SIZE 9", "S 250-XYZZY", "S 250 AUTH PLAIN", "C NOOP", "S 250 Ok"
    )
    assert found[1:5] == [
        ENGLISH.reply("EHLO", 250),
        ENGLISH.keyword("SIZE"),
        None,
        ENGLISH.keyword("AUTH"),
    ]
    assert found[-1] == ENGLISH.reply("NOOP", 250)


def test_what_ehlo_offers_is_told_once() -> None:
    """After STARTTLS most of it comes again."""
    found = meanings("C EHLO a", "S 250-a", "S 250 SIZE 9", "C EHLO a", "S 250-a", "S 250-SIZE 9", "S 250 AUTH PLAIN")
    assert found[2] == ENGLISH.keyword("SIZE")
    assert found[4:] == [ENGLISH.reply("EHLO", 250), None, ENGLISH.keyword("AUTH")]


def test_reply_of_several_lines() -> None:
    """The last one tells."""
    assert meanings("C HELP", "S 214-2.0.0 Commands", "S 214 2.0.0 more")[1:] == [None, ENGLISH.reply("HELP", 214)]


def test_log_in() -> None:
    found = meanings("C AUTH LOGIN", "S 334 ***", "C ***", "S 334 ***", "C ***", "S 535 5.7.8 Wrong")
    response = ENGLISH.command("response")
    assert found[2] == found[4] == response
    assert found[5] == ENGLISH.reply("AUTH", 535, "5.7.8")


def test_message() -> None:
    found = meanings("C DATA", "S 354 Go", "C (message, 5 octets)", "S 250 2.0.0 Ok: queued as ID1")
    assert found[1:] == [ENGLISH.reply("DATA", 354), ENGLISH.command("message"), ENGLISH.reply("message", 250)]


def test_pieces_of_a_message() -> None:
    """Only with the last one is the message there."""
    found = meanings(
        "C BDAT 5", "C (message, 5 octets)", "S 250 2.0.0 5 octets",
        "C BDAT 5 LAST", "C (message, 5 octets)", "S 250 2.0.0 Ok: queued as ID1",
    )  # fmt: skip
    assert found[2] == ENGLISH.reply("BDAT", 250)
    assert found[5] == ENGLISH.reply("message", 250)


@pytest.mark.parametrize(
    ("line", "name"),
    [("***", "hidden"), ("XYZZY ***", "unknown"), ("(a line that is too long)", "long"), ("GET ***", "GET")],
)
def test_what_is_no_command(line: str, name: str) -> None:
    assert meanings(f"C {line}", "S 500 5.5.2 What?") == [ENGLISH.command(name), ENGLISH.reply(name, 500, "5.5.2")]


@pytest.mark.parametrize("line", ["- (end of the connection)", "S strange", "S 999 no", "S "])
def test_what_has_no_meaning(line: str) -> None:
    assert last("C NOOP", line) is None


# ---- All that our server says


def spoken(path: Path) -> list[Spoken]:
    """A dialogue as it would be kept."""
    steps = dialogue.read(path)
    server = Server(steps)
    lines: list[Spoken] = []
    answer, session = server.session.answer, server.session

    def recorded(reply: Reply) -> bytes:
        text = session.heard
        if text is None and lines and lines[-1].text.startswith("354"):
            text = b"(message)"
        if text is not None:
            lines.append(Spoken(0, "C", text.decode("latin-1")))
        session.heard = None
        octets = answer(reply)
        lines.extend(Spoken(0, "S", each) for each in octets.decode("utf-8").splitlines())
        return octets

    session.answer = recorded  # type: ignore[method-assign]
    dialogue.check(steps, server.send, lambda: session.closing, server.setting, dialogue.CUTS["whole"])
    return lines


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_all_that_is_said_in_our_dialogues_has_a_meaning(path: Path) -> None:
    """And not just that of a reply's first digit."""
    lines = spoken(path)
    for dictionary in DICTIONARIES.values():
        vague = [
            line.text
            for line, meaning in Commentary(dictionary).lines(lines)
            if meaning is None and (line.who == "C" or line.text[3:4] == " ") and not dictionary.keyword(line.text[4:])
        ]
        assert vague == []
    found = [meaning for _, meaning in Commentary(ENGLISH).lines(lines) if meaning is not None]
    assert {meaning.text for meaning in found} & GENERAL == set()
