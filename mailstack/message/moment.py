"""A time for people, in their language and zone."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo

_DAYS = {
    "en": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
    "zh": ("一", "二", "三", "四", "五", "六", "日"),
}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def moment(time: float, zone: tzinfo, language: str) -> str:
    """``Mon 23 Nov 2026, 15:53 (UTC+08:00)``. ``time`` is a Unix time; one outside of the calendar is shown as such."""
    try:
        local = datetime.fromtimestamp(time, zone)
    except (ValueError, OverflowError, OSError):
        return f"@{time:.0f}"
    shift = local.strftime("%z")
    where = "UTC" if zone is UTC or shift == "+0000" else f"UTC{shift[:3]}:{shift[3:5]}"
    day, clock = _DAYS[language][local.weekday()], f"{local:%H:%M}"
    if language == "zh":
        return f"{local.year}年{local.month}月{local.day}日（星期{day}）{clock}（{where}）"  # noqa: RUF001
    return f"{day} {local.day} {_MONTHS[local.month - 1]} {local.year}, {clock} ({where})"
