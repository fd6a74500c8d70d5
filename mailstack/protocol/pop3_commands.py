"""The commands of POP3 as a table: where each is allowed, what it leads to, how its argument is read."""

from __future__ import annotations

import re
import stringprep
from collections.abc import Callable, Mapping
from enum import Enum, auto

from attrs import frozen

from mailstack.protocol import pop3_events as events
from mailstack.protocol.pop3_capabilities import Client, capabilities
from mailstack.protocol.pop3_events import Auth, Event, Settled, err, ok
from mailstack.protocol.pop3_texts import LANGUAGES, language_for

#: RFC 4013 §2.3; of its tables, non-ASCII spaces are mapped before, and ASCII's control characters stand below.
_FORBIDDEN = (
    stringprep.in_table_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

#: SYS/PERM: trying again is of no use (RFC 3206 §4).
TLS_FIRST = err("tls-first", "SYS/PERM")
ENCRYPT_FIRST = err("encrypt-first", "AUTH")


class Phase(Enum):
    AUTHORIZATION = auto()
    NAMED = auto()  #: in the AUTHORIZATION state, after USER
    EXCHANGE = auto()  #: in the AUTHORIZATION state, after AUTH: lines are no commands
    SECURING = auto()  #: STLS was answered, TLS is not up yet: nothing is read
    TRANSACTION = auto()
    OVER = auto()


@frozen
class Verb:
    """A row: ``leads`` has the phases in which the command is allowed, and where success leads from each.

    Failure stays in the phase, or leads to ``failed``. ``read`` makes the event of the argument; ValueError when it is
    wrong. ``early`` is the key of the text where it is not allowed yet.
    """

    read: Callable[[Client, bytes], Event]
    leads: Mapping[Phase, Phase]
    failed: Phase | None = None
    early: str = "log-in-first"
    before_tls: bool = False  #: also where TLS is required


def _user(client: Client, argument: bytes) -> Event:
    if not client.passwords:
        # Said before the password is sent.
        return Settled(ENCRYPT_FIRST)
    client.name = _text(argument.strip(b" "))
    return Settled(ok())


def _pass(client: Client, argument: bytes) -> Event:
    """RFC 1939 §7: spaces may be part of the password."""
    return events.Login(client.name, _text(argument))


def _auth(client: Client, argument: bytes) -> Event:
    if not client.passwords:
        return Settled(ENCRYPT_FIRST)
    mechanism, *initial = argument.rstrip(b" ").split(b" ")
    if not mechanism or len(initial) > 1:
        raise ValueError
    name = mechanism.decode("ascii").upper()
    if name not in client.mechanisms():
        return Settled(err("unknown-mechanism"))
    return Auth(name, initial[0] if initial else None)


def _apop(_: Client, __: bytes) -> Event:
    """RFC 1939 §7: optional; it needs the password itself. So no greeting has a timestamp."""
    return Settled(err("no-apop"))


def _mechanisms(client: Client, _: bytes) -> Event:
    """Outlook asks so; no RFC has it."""
    return Settled(_listed("mechanisms", *client.mechanisms()) if client.passwords else ENCRYPT_FIRST)


def _text(raw: bytes) -> str:
    """A name or a password: RFC 6856 §2.2 lets them be UTF-8, also before the UTF8 command, but without the characters
    of RFC 4013 §2.3. What else SASLprep does is done where they are compared."""
    text = raw.decode("utf-8")
    if not text or _CONTROL.search(text):
        raise ValueError
    if not text.isascii() and any(table(char) for table in _FORBIDDEN for char in text):
        raise ValueError
    return text


def _stls(client: Client, argument: bytes) -> Event:
    _nothing(argument)
    if client.secure:
        return Settled(err("tls-active"))
    if not client.starttls:
        return Settled(err("no-tls"))
    if client.utf8:
        return Settled(err("stls-after-utf8"))  # RFC 6856 §2.1
    return events.StartTls()


def _lang(client: Client, argument: bytes) -> Event:
    wanted = argument.strip(b" ").decode("ascii")
    if not wanted:
        return Settled(_listed("languages", *(f"{tag} {row['name']}" for tag, row in LANGUAGES.items())))
    if " " in wanted or _CONTROL.search(wanted):
        raise ValueError
    tag = language_for(wanted, client.terms().language)
    if tag is None:
        return Settled(err("no-language"))
    client.language = LANGUAGES[tag]["texts"]  # RFC 6856 §3.2: of this answer too
    return Settled(ok("language", data=tag))


def _nothing(argument: bytes) -> None:
    if argument.strip(b" "):
        raise ValueError


def _capa(client: Client, argument: bytes) -> Event:
    _nothing(argument)
    return Settled(_listed("capabilities", *capabilities(client)))


def _listed(key: str, *lines: str) -> events.Response:
    return ok(key, ["".join(f"{line}\n" for line in lines).encode()])


def _bare(event: Event) -> Callable[[Client, bytes], Event]:
    def read(client: Client, argument: bytes) -> Event:
        _nothing(argument)
        return event

    return read


def _numbered(event: Callable[..., Event], least: int, most: int) -> Callable[[Client, bytes], Event]:
    """An event of ``least`` to ``most`` numbers; those left out are None. A line is short enough for any to be read."""

    def read(client: Client, argument: bytes) -> Event:
        words = [word for word in argument.split(b" ") if word]
        if not least <= len(words) <= most or not all(word.isdigit() for word in words):
            raise ValueError
        return event(*map(int, words), *[None] * (most - len(words)))

    return read


_BEFORE = (Phase.AUTHORIZATION, Phase.NAMED)
_STAYS = {phase: phase for phase in _BEFORE}
_LOGIN = {Phase.NAMED: Phase.TRANSACTION}
_INSIDE = {Phase.TRANSACTION: Phase.TRANSACTION}
_ANY = {**_STAYS, **_INSIDE}
_END = dict.fromkeys(_ANY, Phase.OVER)

VERBS = {
    b"USER": Verb(_user, dict.fromkeys(_BEFORE, Phase.NAMED), failed=Phase.AUTHORIZATION),
    b"PASS": Verb(_pass, _LOGIN, failed=Phase.AUTHORIZATION, early="user-first"),
    b"AUTH": Verb(_auth, dict.fromkeys(_BEFORE, Phase.EXCHANGE), failed=Phase.AUTHORIZATION),
    b"APOP": Verb(_apop, _STAYS),
    b"STLS": Verb(_stls, dict.fromkeys(_BEFORE, Phase.SECURING), before_tls=True),
    b"UTF8": Verb(_bare(events.Utf8()), _STAYS),
    b"CAPA": Verb(_capa, _ANY, before_tls=True),
    b"LANG": Verb(_lang, _ANY),
    b"NOOP": Verb(_bare(Settled(ok())), _INSIDE),
    b"STAT": Verb(_bare(events.Stat()), _INSIDE),
    b"LIST": Verb(_numbered(events.List, 0, 1), _INSIDE),
    b"UIDL": Verb(_numbered(events.Uidl, 0, 1), _INSIDE),
    b"RETR": Verb(_numbered(events.Retrieve, 1, 1), _INSIDE),
    b"TOP": Verb(_numbered(events.Top, 2, 2), _INSIDE),
    b"DELE": Verb(_numbered(events.Delete, 1, 1), _INSIDE),
    b"RSET": Verb(_bare(events.Reset()), _INSIDE),
    b"QUIT": Verb(_bare(events.Quit()), _END, failed=Phase.OVER, before_tls=True),
}

#: Without an argument something else than with one.
BARE = {b"AUTH": Verb(_mechanisms, _STAYS)}

#: What else comes to this port: by browsers, which are sent away before more of their request counts as commands, and
#: by mail programs with the wrong settings.
STRANGERS = {
    **dict.fromkeys(
        (b"GET", b"POST", b"HEAD", b"PUT", b"OPTIONS", b"CONNECT", b"PRI", b"DELETE"), err("not-http", last=True)
    ),
    **dict.fromkeys((b"EHLO", b"HELO", b"LHLO", b"MAIL"), err("not-smtp")),
}
