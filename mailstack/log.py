"""The log: one line an event, ISO 8601 UTC time first, then Postfix's field names. [log] format and level."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from time import time
from typing import Any, TextIO

from twisted.logger import (
    ILogObserver,
    LogEvent,
    Logger,
    LogLevel,
    formatEvent,
    globalLogPublisher,
)
from zope.interface import implementer

from mailstack.config.settings import Log
from mailstack.interfaces.log import IEventLog
from mailstack.model.moment import precise

NAMESPACE = "mailstack"
LEVELS = {"debug": LogLevel.debug, "info": LogLevel.info, "warn": LogLevel.warn, "error": LogLevel.error}
Level = Any  # a member of LogLevel, whose package has no types
Soon = Callable[[Callable[[], None]], object]
FREE = ("what", "note")  # free text before and after the fields


def _and_above(level: Level) -> frozenset[Level]:
    return frozenset(each for each in LogLevel.iterconstants() if each >= level)


URGENT = _and_above(LogLevel.warn)


def escape(text: str) -> str:
    """One line that shows all there is, whatever a client or a file put into it."""
    return text if text.isprintable() else "".join(map(_visible, text))


def _visible(character: str) -> str:
    return character if character.isprintable() else f"\\x{ord(character):02x}"


def line(id: str, fields: Mapping[str, object]) -> str:
    """``id: what key=value, key=value note``."""
    what, note = fields.get("what"), fields.get("note")
    pairs = ", ".join(_pairs(fields))
    return escape(f"{id}:{f' {what}' if what else ''}{f' {pairs}' if pairs else ''}{f' {note}' if note else ''}")


def _pairs(fields: Mapping[str, object]) -> list[str]:
    return [f"{key.rstrip('_')}={value}" for key, value in fields.items() if value is not None and key not in FREE]


@implementer(IEventLog)
class EventLog:
    """Writes to Twisted's log: ``publish`` is where that begins."""

    def __init__(self, publish: ILogObserver = globalLogPublisher, now: Callable[[], float] = time) -> None:
        self._publish = publish
        self._now = now
        self._logger = Logger(namespace=NAMESPACE, observer=publish)

    def event(self, id: str, **fields: object) -> None:
        self._emit(LogLevel.info, id, fields, partial(line, id, fields))

    def each(self, id: str, several: Sequence[Mapping[str, object]], **shared: object) -> None:
        end = escape(", ".join(_pairs(shared)))
        for own in several:
            pairs = escape(", ".join(_pairs(own)))
            self._emit(LogLevel.info, id, {**own, **shared}, f"{id}: {pairs}, {end}".__str__)

    def detail(self, id: str, **fields: object) -> None:
        self._emit(LogLevel.debug, id, fields, partial(line, id, fields))

    def warn(self, id: str, **fields: object) -> None:
        self._emit(LogLevel.warn, id, fields, partial(line, id, fields))

    def failure(self, id: str, note: str) -> None:
        fields = {"what": f"a bug, please report it: {note}"}
        self._logger.failure("{line()}", line=partial(line, id, fields), id=id, fields=fields)

    def _emit(self, level: Level, id: str, fields: dict[str, object], line: Callable[[], str]) -> None:
        """``line`` is not called before somebody reads it: whoever waits for us has his answer by then."""
        # Published as Logger.emit would: that costs three times as much.
        self._publish(
            {
                "log_namespace": NAMESPACE,
                "log_level": level,
                "log_format": "{line()}",
                "log_time": self._now(),
                "line": line,
                "id": id,
                "fields": fields,
            }
        )


def as_text(event: LogEvent) -> str | None:
    """``TIME line``; the level is named from warnings up, a traceback follows on indented lines of its own."""
    text = event["line"]() if "line" in event else escape(formatEvent(event))
    if not text:
        return None
    level = event.get("log_level", LogLevel.info)
    urgent = f"{level.name}: " if level in URGENT else ""
    line = f"{precise(event['log_time'])} {urgent}{text}\n"
    # Indented, so that nothing in an exception's text passes for a line of ours.
    return line if "log_failure" not in event else line + "".join(f"\t{each}\n" for each in _traceback(event))


def as_json(event: LogEvent) -> str | None:
    """The same facts as one object a line."""
    fields = {"time": precise(event["log_time"]), "level": event.get("log_level", LogLevel.info).name}
    if "fields" in event:
        pairs = {key.rstrip("_"): _plain(value) for key, value in event["fields"].items()}
        fields |= {"id": event["id"]} | {key: value for key, value in pairs.items() if value is not None}
    else:
        fields["what"] = escape(formatEvent(event))
    if traceback := _traceback(event):
        fields["traceback"] = "\n".join(traceback)
    return json.dumps(fields, ensure_ascii=False) + "\n"


def _plain(value: object) -> object:
    return value if isinstance(value, int | float | None) else escape(str(value))


def _traceback(event: LogEvent) -> list[str]:
    failure = event.get("log_failure")
    return [escape(each) for each in failure.getTraceback().splitlines()] if failure is not None else []


FORMATS: dict[str, Callable[[LogEvent], str | None]] = {"text": as_text, "json": as_json}


def at_once(write: Callable[[], None]) -> None:
    write()


@implementer(ILogObserver)
class LogFile:
    """The end of Twisted's log: where events become lines. What Twisted itself has to say of its ports and factories is
    told at level debug; its warnings always are."""

    def __init__(self, settings: Log, out: TextIO, soon: Soon = at_once) -> None:
        """``soon`` says when lines are made and written: under load many together, which costs one call of the system.
        Warnings wait for nobody."""
        self._soon = soon
        self._events: list[LogEvent] = []
        self._format = FORMATS[settings.format]
        self._wanted = _and_above(LEVELS[settings.level])
        self._wanted_of_others = self._wanted if settings.level == "debug" else self._wanted & URGENT
        self._out = out

    def __call__(self, event: LogEvent) -> None:
        wanted = self._wanted if event.get("log_namespace") == NAMESPACE else self._wanted_of_others
        level = event.get("log_level", LogLevel.info)
        if level not in wanted:
            return
        self._events.append(event)
        if level in URGENT:
            self.flush()
        elif len(self._events) == 1:
            self._soon(self.flush)

    def flush(self) -> None:
        """Write what waits."""
        events, self._events = self._events, []
        lines = [line for each in events if (line := self._format(each))]
        if lines:
            # On a full disk there is nowhere to say so.
            with suppress(OSError):
                self._out.write("".join(lines))
                self._out.flush()
