"""Dates as letters have them, to be compared. RFC 5322 §3.3 with §4.3, and what else is found."""

from __future__ import annotations

import calendar
import re

#: Before 1970 nobody counts, and behind this no calendar goes on.
YEARS = range(1970, 9999)
MAX_ZONE = 14 * 3600  # seconds: Kiribati; no place is further from Greenwich

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_TIME = r"(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:[.,][0-9]{1,9})?)?"
_ZONE = r"(?P<zone>[+-][0-9]{4}|[A-Za-z]{1,5})(?![0-9A-Za-z])"
_FORMS = (
    #   [day-of-week ","] day month year time zone; RFC 850 has hyphens
    re.compile(
        r"(?:[^\W\d]{2,9}\.?,? )?(?P<day>[0-9]{1,2})[ -](?P<month>[A-Za-z]{3})[a-z]{0,6}[ -](?P<year>[0-9]{2,4})"
        rf" {_TIME} ?{_ZONE}"
    ),
    #   asctime(3) with a zone
    re.compile(
        rf"(?:[A-Za-z]{{3}} )?(?P<month>[A-Za-z]{{3}}) (?P<day>[0-9]{{1,2}}) {_TIME} (?P<year>[0-9]{{4}}) {_ZONE}"
    ),
)
#: Hours. RFC 5322 §4.3; all other names have no meaning that everybody shares.
_NAMED = {
    **dict.fromkeys(("UT", "GMT", "UTC", "Z"), 0),
    **dict.fromkeys(("EDT",), -4),
    **dict.fromkeys(("EST", "CDT"), -5),
    **dict.fromkeys(("CST", "MDT"), -6),
    **dict.fromkeys(("MST", "PDT"), -7),
    **dict.fromkeys(("PST",), -8),
}


def unix_time(text: str) -> int | None:
    """Of a date on one line; None where it cannot be told, for instance without a zone."""
    words = " ".join(text.split())
    for form in _FORMS:
        if found := form.match(words):
            return _counted(found.groupdict())
    return None


def _counted(said: dict[str, str]) -> int | None:
    zone = _zone(said["zone"])
    month, day = said["month"].lower(), int(said["day"])
    year = _year(said["year"])
    hour, minute, second = (int(said[name] or 0) for name in ("hour", "minute", "second"))
    if zone is None or month not in _MONTHS or year not in YEARS or hour > 23 or minute > 59 or second > 60:
        return None
    number = _MONTHS.index(month) + 1
    if not 1 <= day <= calendar.monthrange(year, number)[1]:
        return None
    return calendar.timegm((year, number, day, hour, minute, second)) - zone


def _year(digits: str) -> int:
    """RFC 5322 §4.3: with two digits this century up to 49, with three the years since 1900."""
    year = int(digits)
    if len(digits) == 4:
        return year
    return year + (2000 if len(digits) == 2 and year < 50 else 1900)


def _zone(text: str) -> int | None:
    """Seconds to the east of Greenwich."""
    if text[0] not in "+-":
        hours = _NAMED.get(text.upper())
        return None if hours is None else hours * 3600
    hours, minutes = int(text[1:3]), int(text[3:])
    seconds = hours * 3600 + minutes * 60
    if minutes > 59 or seconds > MAX_ZONE:
        return None
    return -seconds if text[0] == "-" else seconds
