"""``mailstack import pop3://…``: the letters of a mailbox on another server, by POP3. Nothing is removed there."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import unquote, urlsplit

from attrs import field, frozen

from mailstack.accounts import saslprep
from mailstack.admin.caller import Unanswered
from mailstack.admin.import_call import (
    POP3_PORT,
    POP3S_PORT,
    Pop3Call,
    Server,
    Unbelieved,
    any_tls,
    fingerprint,
    is_loopback,
)
from mailstack.admin.import_known import Known, Offer
from mailstack.admin.import_place import Place, become_owner, running
from mailstack.admin.import_run import Found, Interrupts, Progress, Run, Tally
from mailstack.admin.site import Failed, warn
from mailstack.protocol.pop3_client import Shape
from mailstack.protocol.pop3_client_opening import Login, Manner
from mailstack.protocol.pop3_listing import Listed, listed, sizes, unique_ids

SLACK = 256 * 1024 * 1024  # octets that a letter may have beyond twice its listed size: some servers list none
PORTS = {"pop3": POP3_PORT, "pop3s": POP3S_PORT}


@frozen
class Source:
    """Whose mailbox, and where."""

    user: str
    server: Server

    @property
    def name(self) -> str:
        """For the record: the same by whatever port it is reached."""
        return f"pop3 {self.user}@{self.server.host}"


def source(url: str) -> Source:
    """ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in PORTS:
        raise ValueError("write pop3://USER@HOST or pop3s://USER@HOST")
    # The name may be an address itself.
    user, _, place = parts.netloc.rpartition("@")
    if not user or not place:
        raise ValueError(f"who is it on that server? Write {parts.scheme}://USER@HOST")
    if ":" in user:
        raise ValueError("a password does not belong here, where everybody can read it; it is asked for")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("nothing may follow the host; the folder of ours is --folder")
    where = urlsplit(f"//{place}")
    host = (where.hostname or "").removesuffix(".")
    if not host:
        raise ValueError(f"there is no host in {url!r}")
    return Source(unquote(user), Server(host, where.port or PORTS[parts.scheme], parts.scheme == "pop3s"))


@frozen
class Wishes:
    password: str = field(repr=False)
    by_content: bool = False
    again: bool = False
    dry_run: bool = False


def bring(place: Place, source: Source, wishes: Wishes, tally: Tally) -> None:
    """Failed, where it could not begin; what came of it is in ``tally``."""
    try:
        call = _call(source, wishes.password)
        if "0" in call.offers.get("EXPIRE", ()):
            warn("that server removes by itself what was fetched (EXPIRE 0)")
        try:
            if wishes.dry_run:
                _try(place.look(source.name, wishes.again), _letters(call, wishes.by_content), tally)
            else:
                _bring(place, source, wishes, call, tally)
        finally:
            call.hang_up()
    except Unanswered as error:
        if not tally.wanted:
            raise Failed(str(error)) from None
        tally.problem = str(error)


def _bring(place: Place, source: Source, wishes: Wishes, call: Pop3Call, tally: Tally) -> None:
    letters = _letters(call, wishes.by_content)
    become_owner(place.settings.server.data)
    with Interrupts() as interrupts, place.open(source.name, wishes.again) as (box, known, record):
        wanted = _try(known, letters, tally)
        with running(box, known, record.own, tally, interrupts) as run:
            progress = Progress(tally, source.user)
            try:
                _fetch(call, wanted, run, tally, progress)
            finally:
                progress.end()
        if not tally.problem:
            # Some servers remove at QUIT what was fetched (EXPIRE 0): by now it is durable here.
            call.quit()


def _fetch(call: Pop3Call, wanted: list[Listed], run: Run, tally: Tally, progress: Progress) -> None:
    letters = {each.number: each for each in wanted}
    for number, answer, pieces in call.retrieve(letters):
        letter = letters[number]
        label = f"number {number}" + (f" ({letter.uid})" if letter.uid else "")
        if answer.positive:
            run.bring(Found(_offer(letter)), _ending(pieces, letter.size, label), progress, wire=True)
        else:
            tally.refuse(label, f"the server does not give it: {answer}")


def _ending(pieces: Iterator[bytes], size: int, label: str) -> Iterator[bytes]:
    """``size`` in octets, as the server has listed it. Unanswered: it goes on and on, until the disk would be full."""
    octets = 0
    for piece in pieces:
        octets += len(piece)
        if octets > 2 * size + SLACK:
            raise Unanswered(f"{label} has {size:,} octets by LIST, and goes on after {octets:,}")
        yield piece


def _try(known: Known, letters: list[Listed], tally: Tally) -> list[Listed]:
    """Which of them are new, as far as it can be told before they are here."""
    offers = {each.number: _offer(each) for each in letters}
    known.compare(offer for offer in offers.values() if offer is not None)
    wanted = []
    for each in letters:
        offer = offers[each.number]
        if offer is None or not known.has(offer):
            wanted.append(each)
    tally.found, tally.known, tally.wanted = len(letters), len(letters) - len(wanted), len(wanted)
    tally.wanted_octets = sum(each.size for each in wanted)
    return wanted


def _offer(letter: Listed) -> Offer | None:
    """None: it must be known by its content."""
    return None if letter.uid is None else Offer(letter.uid, letter.uid, letter.size or None)


def _letters(call: Pop3Call, by_content: bool) -> list[Listed]:
    sized = call.ask("LIST", Shape.LIST)
    if not sized.answer.positive:
        raise Failed(f"the server does not list the letters: {sized.answer}")
    if by_content:
        return listed(sizes(sized.rows), {})
    told = call.ask("UIDL", Shape.LIST)
    if not told.answer.positive:
        raise Failed(
            f"the server has no unique-ids (UIDL: {told.answer}), so it cannot be told before they are fetched which"
            " letters are here already. With --by-content all are fetched at each import, and those compared that are"
            " here; mail programs will fetch them once more"
        )
    return listed(sizes(sized.rows), unique_ids(told.rows))


def _call(source: Source, password: str) -> Pop3Call:
    """Unanswered, Failed."""
    octets = password.encode("utf-8", "surrogateescape")
    login = Login(source.user, octets, saslprep.octets(password), secrets.token_urlsafe(24))
    server = source.server
    local = server.plain or is_loopback(server.host)
    try:
        return Pop3Call(server, Manner(login, encrypted=server.implicit_tls, plain=local))
    except Unbelieved as error:
        shown = _shown(server)
        way_out = f"; if this is the SHA-256 of its certificate, add --tls-fingerprint {shown}" if shown else ""
        raise Failed(f"{server.name}: {error}{way_out}") from None


def _shown(server: Server) -> str:
    """The fingerprint of the certificate that is not believed; nothing secret is said. "": it cannot be had."""
    with suppress(OSError), socket.create_connection((server.host, server.port), 10.0) as plain:
        if not server.implicit_tls and not _stls(plain):
            return ""
        with any_tls().wrap_socket(plain, server_hostname=server.host) as encrypted:
            return fingerprint(encrypted)
    return ""


def _stls(plain: socket.socket) -> bool:
    with plain.makefile("rb", buffering=0) as lines:
        lines.readline(1024)
        plain.sendall(b"STLS\r\n")
        return lines.readline(1024).upper().startswith(b"+OK")
