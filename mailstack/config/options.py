"""The table of all options: which sections and keys there are, and what their values mean."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from mailstack.config import hosts, values
from mailstack.config.settings import DAY
from mailstack.model.hold import MAX_INTERVAL

Parse = Callable[[str], object]

_QUEUE: dict[str, Parse] = {
    "retry": values.some(values.seconds),
    "lifetime": values.seconds,
    "bounce_lifetime": values.seconds,
    "delay_warning": values.each(values.seconds),
    "concurrency": values.count,
    "concurrency_per_destination": values.count,
}
_LIMITS: dict[str, Parse] = {
    "message_size": values.size,
    "header_size": values.size,
    "recipients": values.count,
    "recipients_per_hour": values.count,
    "connections": values.count,
    "connections_per_client": values.count,
    "errors": values.count,
    "auth_failures_per_minute": values.count,
    "command_timeout": values.seconds,
    "data_timeout": values.seconds,
    "min_data_rate": values.count,
    "pop3_timeout": values.seconds,
}
_LOG: dict[str, Parse] = {
    "format": values.choice("text", "json"),
    "level": values.choice("debug", "info", "warn", "error"),
    "sessions": values.up_to(10_000),
    "keep": values.at_most(values.pause, 3650 * DAY),
    "keep_size": values.size,
}


def options(folder: Path) -> dict[str, dict[str, Parse]]:
    """All sections and keys and what their values are; [routes] has domains for keys. Paths begin in ``folder``."""
    path, paths = partial(values.path, folder=folder), partial(values.paths, folder=folder)
    maybe_path = values.optional(path)
    listen: dict[str, Parse] = {"listen": hosts.endpoints}
    both: dict[str, Parse] = {**listen, "listen_tls": hosts.endpoints}
    return {
        "server": {
            "hostname": values.optional(values.domain),
            "domains": values.some(values.domain),
            "data": path,
            "postmaster": values.optional(values.address),
            "proxies": values.each(values.network),
            "xclient": values.each(values.network),
            "language": values.choice("en", "zh"),
            "templates": maybe_path,
        },
        "accounts": {
            "users": path,
            "aliases": maybe_path,
            "recipient_delimiter": values.delimiter,
            "catch_all": values.optional(values.address),
            "srs": values.yes_or_no,
        },
        "smtp": {**listen, "greet_delay": values.pause, "rfc821": values.switch},
        "submission": {
            **both,
            "future_release": values.at_most(values.pause, MAX_INTERVAL),
            "undo": values.at_most(values.pause, DAY),
            "save_sent": values.yes_or_no,
        },
        "pop3": {**both, "login_delay": values.at_most(values.pause, DAY), "expire": values.days_or_never},
        "tls": {"certificate": paths, "key": paths, "policy": values.tls_policy},
        "relay": {
            "networks": values.each(values.network),
            "domains": values.each(values.domain),
            "i_accept_an_open_relay": values.yes_or_no,
            "fetch": values.each(values.fetcher),
        },
        "queue": _QUEUE,
        "routes": {},
        "smarthost": {
            "host": values.optional(hosts.next_hop),
            "username": str,
            "password_file": maybe_path,
            "tls": values.choice("none", "opportunistic", "required", "implicit"),
        },
        "spool": {"sync": values.choice("auto", "filesystem", "file")},
        "dns": {"servers": values.each(hosts.name_server)},
        "limits": _LIMITS,
        "log": _LOG,
    }
