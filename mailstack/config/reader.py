"""mail.ini → Settings, or all that is wrong with it at once."""

from __future__ import annotations

import difflib
import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from attrs import evolve

from mailstack.config import hosts, routes
from mailstack.config.contradictions import Contradiction, contradictions, impossible
from mailstack.config.ini import Document, Entry, scan
from mailstack.config.options import options
from mailstack.config.problem import BadValue, ConfigurationError, Problem
from mailstack.config.settings import (
    DEFAULT_DATA,
    Accounts,
    Route,
    Server,
    Settings,
    Smarthost,
)
from mailstack.config.values import path as path_below
from mailstack.model.address import Address

IMPLICIT_TLS_PORT = 465  # submission over TLS, RFC 8314 §3.3

#: Keeps the rest of the file readable when no domain could be understood.
PLACEHOLDER = ("localhost",)


def load(path: Path, *, machine_name: Callable[[], str] = socket.getfqdn, files: bool = True) -> Settings:
    """Read and check. ConfigurationError has every problem.

    ``files``: also see whether this machine has what is named: files that can be read, kinds of endpoints.
    """
    reading = Reading(scan(_text(path), path), path)
    settings = reading.settings(machine_name)
    reading.compare(contradictions(settings))
    if files:
        reading.compare(impossible(settings))
    if reading.problems:
        raise ConfigurationError(reading.problems)
    return settings


def _text(path: Path) -> str:
    try:
        octets = path.read_bytes()
    except IsADirectoryError:
        fix = f"give the file, such as {path / 'mail.ini'}"
        raise ConfigurationError([Problem(path, 0, "", "this is a folder, not a file", fix)]) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        fix = "name another file with -c (sendmail: -C), or make this one readable"
        raise ConfigurationError([Problem(path, 0, "", f"cannot be read: {reason}", fix)]) from None
    try:
        return octets.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        wrong = f"octet {octets[error.start]:#04x} is not UTF-8"
        raise ConfigurationError([Problem(path, line, "", wrong, "save the file as UTF-8")]) from None


class Reading:
    """One look at a document. What cannot be understood is noted in ``problems`` and left at its default."""

    def __init__(self, document: Document, source: Path) -> None:
        self.problems = list(document.problems)
        self._document = document
        self._source = source
        self._folder = source.parent.absolute()  # twistd changes its folder when it becomes a daemon
        self._options = options(self._folder)
        self._failed: set[tuple[str, str]] = set()
        # Any: each value has the type of its field; the tests compare the table of options with the classes.
        self._values: dict[str, dict[str, Any]] = {section: {} for section in self._options}
        self._unknown_sections()
        for entry in document.entries.values():
            if entry.section in self._options:
                self._take(entry)

    def _take(self, entry: Entry) -> None:
        try:
            if entry.section == "routes":
                name = routes.route_name(entry.key)
                self._values["routes"][name] = routes.route(entry.value, self._folder)
            elif entry.key in self._options[entry.section]:
                parse = self._options[entry.section][entry.key]
                self._values[entry.section][entry.key] = parse(entry.value)
            else:
                raise BadValue("there is no such key", self._key_instead(entry))
        except BadValue as bad:
            self._failed.add((entry.section, entry.key))
            self._problem(entry.line, entry.place, bad.wrong, bad.fix)

    def _unknown_sections(self) -> None:
        for section, line in self._document.sections.items():
            if section not in self._options:
                nearest = difflib.get_close_matches(section.lower(), self._options, 1)
                fix = f"write [{nearest[0]}]" if nearest else f"there are {', '.join(self._options)}"
                self._problem(line, f"[{section}]", "there is no such section", fix)

    def _key_instead(self, entry: Entry) -> str:
        known = self._options[entry.section]
        nearest = difflib.get_close_matches(entry.key, known, 1)
        homes = [section for section, keys in self._options.items() if entry.key in keys]
        if nearest:
            return f"write {nearest[0]}"
        if homes:
            return f"it belongs to [{'] or ['.join(homes)}]"
        return f"[{entry.section}] has {', '.join(known)}"

    def settings(self, machine_name: Callable[[], str]) -> Settings:
        taken = self._values
        server = self._server(machine_name)
        default = Settings(self._source, server, Accounts(server.data / "users", server.data / "aliases"))
        table: dict[str, Route] = {**dict(default.routes), **taken["routes"]}
        return evolve(
            default,
            accounts=evolve(default.accounts, **taken["accounts"]),
            smtp=evolve(default.smtp, **taken["smtp"]),
            submission=evolve(default.submission, **taken["submission"]),
            pop3=evolve(default.pop3, **taken["pop3"]),
            tls=evolve(default.tls, **taken["tls"]),
            relay=evolve(default.relay, **taken["relay"]),
            queue=evolve(default.queue, **taken["queue"]),
            routes=tuple(table.items()),
            smarthost=self._smarthost(),
            spool=evolve(default.spool, **taken["spool"]),
            dns=evolve(default.dns, **taken["dns"]),
            limits=evolve(default.limits, **taken["limits"]),
            log=evolve(default.log, **taken["log"]),
        )

    def _server(self, machine_name: Callable[[], str]) -> Server:
        taken = self._values["server"]
        if "domains" not in taken and ("server", "domains") not in self._failed:
            self._failed.add(("server", "domains"))
            line = self._document.sections.get("server", 0)
            self._problem(line, "[server] domains", "it is missing", "write the domains of your mail addresses")
        domains = taken.get("domains", PLACEHOLDER)
        server = Server(
            hostname=taken.get("hostname") or machine_name().lower().removesuffix("."),
            domains=domains,
            data=taken.get("data") or path_below(str(DEFAULT_DATA), self._folder),
            postmaster=taken.get("postmaster") or Address("postmaster", domains[0]),
        )
        others = ("proxies", "xclient", "language", "templates")
        return evolve(server, **{key: taken[key] for key in others if key in taken})

    def _smarthost(self) -> Smarthost:
        taken = dict(self._values["smarthost"])
        host, port = taken.pop("host", None) or ("", None)
        usual = IMPLICIT_TLS_PORT if taken.get("tls") == "implicit" else hosts.SUBMISSION_PORT
        return Smarthost(host=host, port=port or usual, **taken)

    def compare(self, found: Iterable[Contradiction]) -> None:
        """Note what does not go together, as far as both sides of it were understood."""
        for one in found:
            if self._failed.isdisjoint({(one.section, one.key), *one.against}):
                entry = self._document.entries.get((one.section, one.key))
                line = entry.line if entry else self._document.sections.get(one.section, 0)
                self._problem(line, f"[{one.section}] {one.key}", one.wrong, one.fix)

    def _problem(self, line: int, place: str, wrong: str, fix: str) -> None:
        self.problems.append(Problem(self._source, line, place, wrong, fix))
