"""What somebody has to see to, in the log: one line when it begins, few while it lasts, one when it is over."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import define
from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

from mailstack import message
from mailstack.durable import swap
from mailstack.interfaces.alarms import IAlarms
from mailstack.interfaces.log import IEventLog
from mailstack.message.phrases import Phrases

LOOK = 1.0  # seconds between two looks at alarms that last
#: Seconds for which a condition must not be seen before it is over; doubled each time that it comes back within
#: ``MEMORY``, so that a disk that fails now and then writes few lines.
CALM, LONGEST_CALM, MEMORY = 5.0, 600.0, 3600.0
#: Seconds from the beginning to the first reminder; each next one takes twice as long, up to ``SELDOM``.
REMIND, SELDOM = 600.0, 6 * 3600.0

ID = "disk"
MEANING = Path(str(message.__file__)).parent / "meaning" / "doctor.toml"


def english() -> Phrases:
    """What the log says."""
    return Phrases(tomllib.loads(MEANING.read_text("utf-8")), "en")


def path_below(data: Path) -> Path:
    return data / "state" / "alarms.json"


@define
class Alarm:
    """A condition that lasts, or has lasted. Times are the clock's, but for ``since``."""

    since: float  #: Unix time
    began: float
    detail: str
    times: int = 0  #: how often it was seen
    last: float = 0.0
    quiet: bool = False  #: over, unless it comes back
    calm: float = CALM
    next: float = 0.0  #: reminder
    pause: float = REMIND
    told: bool = False  #: in the log, and not yet told to be over


@implementer(IAlarms)
class Alarms(Service):
    """``state/alarms.json`` has those that last, for ``mailstack doctor``; written when the disk lets us."""

    name = "alarms"

    def __init__(
        self, data: Path, phrases: Phrases, clock: IReactorTime, now: Callable[[], float], log: IEventLog
    ) -> None:
        """``phrases`` of the log's language; ``now`` is Unix time."""
        self._data = data
        self._phrases = phrases
        self._clock = clock
        self._now = now
        self._log = log
        self._alarms: dict[str, Alarm] = {}
        self._timer: IDelayedCall | None = None
        self._unwritten = False

    # ---- IAlarms

    def seen(self, condition: str, detail: str) -> None:
        now = self._clock.seconds()
        alarm = self._alarms.get(condition)
        if alarm is None or not alarm.told:
            alarm = self._begin(condition, detail, now, alarm)
        alarm.times += 1
        alarm.last, alarm.quiet = now, False

    def _begin(self, condition: str, detail: str, now: float, before: Alarm | None) -> Alarm:
        alarm = Alarm(self._now(), now, detail, told=True, next=now + REMIND)
        if before is not None and now - before.last < MEMORY:
            alarm.calm = min(2 * before.calm, LONGEST_CALM)
        self._alarms[condition] = alarm
        means, act = (self._phrases.say(kind, condition, data=self._data) for kind in ("means", "act"))
        self._log.warn(ID, what=f"ALARM {condition}: {means} ({detail}). What to do:", note=act)
        self._written_soon()
        return alarm

    def over(self, condition: str) -> None:
        alarm = self._alarms.get(condition)
        if alarm is not None:
            alarm.quiet = True

    # ---- Time

    def _written_soon(self) -> None:
        self._unwritten = True
        self._look_soon()

    def _look_soon(self) -> None:
        if self._timer is None and self.running:
            self._timer = self._clock.callLater(LOOK, self._look)

    def _look(self) -> None:
        self._timer = None
        now = self._clock.seconds()
        for condition, alarm in self._alarms.items():
            if not alarm.told:
                continue
            if alarm.quiet and now - alarm.last >= alarm.calm:
                self._end(condition, alarm)
            elif now >= alarm.next:
                self._remind(condition, alarm, now)
        if self._unwritten:
            self._write()
        if self._unwritten or any(alarm.told for alarm in self._alarms.values()):
            self._look_soon()

    def _end(self, condition: str, alarm: Alarm) -> None:
        alarm.told, self._unwritten = False, True
        lasted = alarm.last - alarm.began
        self._log.event(ID, what=f"over {condition}: it has lasted {lasted:.0f} s, and was seen {alarm.times} times")

    def _remind(self, condition: str, alarm: Alarm, now: float) -> None:
        alarm.pause = min(2 * alarm.pause, SELDOM)
        alarm.next = now + alarm.pause
        act = self._phrases.say("act", condition, data=self._data)
        lasts = f"still {condition}, for {(now - alarm.began) / 60:.0f} min, seen {alarm.times} times. What to do:"
        self._log.warn(ID, what=lasts, note=act)

    # ---- The file

    def startService(self) -> None:
        Service.startService(self)
        self._unwritten = True
        self._look()

    def stopService(self) -> None:
        Service.stopService(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _write(self) -> None:
        """In a folder that is gone nothing is made anew; what cannot be written now is tried again with the next
        look."""
        lasting = {
            name: {"since": alarm.since, "detail": alarm.detail} for name, alarm in self._alarms.items() if alarm.told
        }
        try:
            swap(path_below(self._data), json.dumps(lasting).encode())
        except OSError:
            return
        self._unwritten = False


def read(data: Path) -> dict[str, dict[str, Any]]:
    """The alarms of the server that runs, or of the last one: by condition, ``since`` and ``detail``."""
    try:
        found = json.loads(path_below(data).read_bytes())
    except (OSError, ValueError):
        return {}
    return {
        name: each
        for name, each in (found.items() if isinstance(found, dict) else ())
        if isinstance(each, dict) and isinstance(each.get("since"), int | float)
    }
