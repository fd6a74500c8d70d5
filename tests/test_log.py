"""The log's lines: what stands in them, in which form, and what never does."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import pytest
from twisted.logger import LogEvent, Logger, LogPublisher, formatEvent
from twisted.python.failure import Failure

from mailstack import log
from mailstack.config.settings import Log
from mailstack.model.address import Address
from mailstack.protocol.smtp_events import Auth, Credentials

NASTY = "a\r\n2026-01-01T00:00:00.000Z fake\x1b[31m\x00\x85\u2028\u202e\udcff"


class Written:
    """An event log and the lines that come out of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, format: str = "text", level: str = "info") -> None:
        self.out = io.StringIO()
        self.publisher = LogPublisher(log.LogFile(Log(format, level), self.out))
        self.log = log.EventLog(self.publisher, lambda: 1_000_000_000.25)
        monkeypatch.setattr("twisted.logger._logger.time", lambda: 1_000_000_000.25)

    @property
    def lines(self) -> list[str]:
        return self.out.getvalue().splitlines()

    @property
    def objects(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.lines]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Written:
    return Written(monkeypatch)


@pytest.fixture
def as_json(monkeypatch: pytest.MonkeyPatch) -> Written:
    return Written(monkeypatch, "json")


def test_line(written: Written) -> None:
    """Time, id, free text, Postfix's names, a note; what is None is left out, a trailing underscore cut."""
    written.log.event("ID", what="reject:", from_="<a@b.test>", nrcpt=2, no=None, note="(x)", **{"message-id": "<m>"})
    assert written.lines == ["2001-09-09T01:46:40.250Z ID: reject: from=<a@b.test>, nrcpt=2, message-id=<m> (x)"]


def test_values_are_written_as_text(written: Written) -> None:
    written.log.event("ID", user=Address("two words", "office.test"), delay=0.5)
    assert written.lines[0].endswith('ID: user="two words"@office.test, delay=0.5')


@pytest.mark.parametrize("format", ["text", "json"])
def test_lines_that_share_most_of_their_fields_are_ordinary_lines(monkeypatch: pytest.MonkeyPatch, format: str) -> None:
    """For each the same as if it had come alone."""
    together, alone = Written(monkeypatch, format), Written(monkeypatch, format)
    several: list[dict[str, object]] = [{"to": f"<{NASTY}>", "orig_to": None}, {"to": "<b>", "orig_to": "<c>"}]
    shared: dict[str, object] = {"dsn": "2.0.0", "no": None, "status": f"sent (250 {NASTY})"}
    together.log.each("ID", several, **shared)
    for own in several:
        alone.log.event("ID", **own, **shared)
    assert together.lines == alone.lines
    assert len(together.lines) == 2


@pytest.mark.parametrize("place", ["what", "note", "helo"])
@pytest.mark.parametrize("format", ["text", "json"])
def test_one_event_is_one_line(monkeypatch: pytest.MonkeyPatch, place: str, format: str) -> None:
    """Nobody can forge a line, hide a part of one or speak to the terminal."""
    written = Written(monkeypatch, format)
    written.log.event("ID", **{place: NASTY})
    (line,) = written.lines
    assert line.isprintable()
    shown = r"a\x0d\x0a2026-01-01T00:00:00.000Z fake\x1b[31m\x00\x85\x2028\x202e\xdcff"
    assert shown in (line if format == "text" else json.loads(line)[place])


def test_ordinary_text_of_any_language_stays(written: Written) -> None:
    written.log.event("ID", note="Größe 好")
    assert written.lines[0].endswith("Größe 好")


def test_warnings_say_so(written: Written) -> None:
    """So that one can grep for what the postmaster should look at."""
    written.log.warn("ID", what="disk")
    assert written.lines == ["2001-09-09T01:46:40.250Z warn: ID: disk"]


def test_json_has_the_same_fields(as_json: Written) -> None:
    as_json.log.event("ID", what="reject:", from_="<a@b.test>", nrcpt=2, delay=0.5, relay=None)
    assert as_json.objects == [
        {
            "time": "2001-09-09T01:46:40.250Z",
            "level": "info",
            "id": "ID",
            "what": "reject:",
            "from": "<a@b.test>",
            "nrcpt": 2,
            "delay": 0.5,
        }
    ]


def fail(written: Written) -> None:
    try:
        raise RuntimeError(f"a bug\n{NASTY}")
    except RuntimeError as error:
        written.log.failure("ID", repr(error))


def test_bug_in_text(written: Written) -> None:
    """With its traceback, indented: no part of it can pass for a line of the log."""
    fail(written)
    first, *traceback = written.lines
    assert first.startswith("2001-09-09T01:46:40.250Z critical: ID: a bug, please report it: RuntimeError(")
    assert all(line.startswith("\t") and line[1:].isprintable() for line in traceback)
    assert any("RuntimeError: a bug" in line for line in traceback)


def test_bug_in_json(as_json: Written) -> None:
    """One object, with the id in its own field and the traceback inside."""
    fail(as_json)
    (event,) = as_json.objects
    assert (event["id"], event["level"]) == ("ID", "critical")
    assert str(event["what"]).startswith("a bug, please report it: RuntimeError(")
    assert "Traceback" in str(event["traceback"])


@pytest.mark.parametrize(
    ("level", "seen"),
    [
        ("debug", ["event", "warn", "failure", "twisted info", "twisted warn"]),
        ("info", ["event", "warn", "failure", "twisted warn"]),
        ("warn", ["warn", "failure", "twisted warn"]),
        ("error", ["failure"]),
    ],
)
def test_level(monkeypatch: pytest.MonkeyPatch, level: str, seen: list[str]) -> None:
    """What is below the level is left out; Twisted's own facts are for level debug, its warnings are not."""
    written = Written(monkeypatch, level=level)
    twisted = Logger(namespace="twisted.internet", observer=written.publisher)
    written.log.event("ID", what="event")
    written.log.warn("ID", what="warn")
    try:
        raise RuntimeError
    except RuntimeError:
        written.log.failure("ID", "failure")
    twisted.info("twisted info")
    twisted.warn("twisted warn")
    everything = ["event", "warn", "failure", "twisted info", "twisted warn"]
    lines = [line for line in written.lines if not line.startswith("\t")]
    assert [each for each in everything if any(line.endswith(each) for line in lines)] == seen


def test_twisted_failures_are_shown(written: Written) -> None:
    """Something that nobody awaited still gets its traceback."""
    twisted = Logger(namespace="twisted.internet.defer", observer=written.publisher)
    twisted.failure("Unhandled {x}", Failure(ValueError("v")), x="\n")
    assert "critical: Unhandled \\x0a" in written.lines[0]
    assert "ValueError: v" in written.out.getvalue()


def test_empty_events_of_twisted_are_no_lines(written: Written) -> None:
    Logger(namespace="x", observer=written.publisher).warn("")
    assert written.lines == []


@pytest.mark.parametrize("event", [Credentials("alice", "sesame"), Auth("PLAIN", "AGFsaWNlAHNlc2FtZQ==")])
def test_events_do_not_show_passwords(event: object) -> None:
    """Not even where one is printed by accident, in a traceback."""
    assert "sesame" not in repr(event)
    assert "AGFsaWNl" not in repr(event)


@pytest.mark.parametrize(("level", "told"), [("debug", True), ("info", False), ("warn", False)])
def test_details_are_for_level_debug(monkeypatch: pytest.MonkeyPatch, level: str, told: bool) -> None:
    written = Written(monkeypatch, level=level)
    written.log.detail("pop3", what="Fetched:", ids="A B")
    assert written.lines == ["2001-09-09T01:46:40.250Z pop3: Fetched: ids=A B"] * told


def test_lines_of_one_moment_are_written_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """In their order; a warning takes those before it along."""
    later: list[Callable[[], None]] = []
    out = io.StringIO()
    publisher = LogPublisher(log.LogFile(Log(), out, later.append))
    events = log.EventLog(publisher, lambda: 0.0)
    events.event("A")
    events.event("B")
    assert (out.getvalue(), len(later)) == ("", 1)
    later.pop()()
    assert [line[-2:] for line in out.getvalue().splitlines()] == ["A:", "B:"]
    events.event("C")
    events.warn("D")
    assert [line[-2:] for line in out.getvalue().splitlines()] == ["A:", "B:", "C:", "D:"]
    later.pop()()
    assert out.getvalue().count("\n") == 4


def test_other_observers_of_twisted_see_the_same_line(written: Written) -> None:
    """twistd --syslog, for one."""
    seen: list[LogEvent] = []
    written.publisher.addObserver(seen.append)
    written.log.event("ID", what="what", a=1)
    written.log.each("ID", [{"to": "x"}, {"to": "y"}], status="sent")
    assert [formatEvent(each) for each in seen] == ["ID: what a=1", "ID: to=x, status=sent", "ID: to=y, status=sent"]


def test_disk_that_is_full_ends_nothing() -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    log.EventLog(LogPublisher(log.LogFile(Log(), Full())), lambda: 0.0).event("A")
