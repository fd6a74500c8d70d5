"""The order of SMTP's commands: what may come when, as a table. RFC 5321 §4.1.4."""

from __future__ import annotations

from enum import IntEnum, auto

from mailstack.protocol.smtp_commands import PARSERS
from mailstack.protocol.smtp_events import (
    Atrn,
    Auth,
    Bdat,
    BodyEnd,
    ChunkEnd,
    Data,
    Etrn,
    Event,
    Hello,
    Mail,
    Rcpt,
    Reset,
    StartTls,
    TakeBack,
    XClient,
)


class State(IntEnum):
    GREET = auto()  #: no EHLO yet
    READY = auto()
    SENDER = auto()  #: MAIL was accepted
    RECIPIENTS = auto()  #: so was a RCPT
    DATA = auto()  #: between 354 and the end of data
    CHUNK = auto()  #: between BDAT and the last of its octets
    CHUNKS = auto()  #: more BDAT must come
    TURNED = auto()  #: we are the client now; what comes is not for us


#: The state after a positive answer; after the end of data or of a chunk, after any answer. An event that is not in
#: its state's row is out of order; those that are in no row (NOOP, QUIT, HELP, VRFY, EXPN) are welcome everywhere and
#: change nothing.
TRANSITIONS: dict[State, dict[type[Event], State]] = {
    State.GREET: {Hello: State.READY, Reset: State.GREET, XClient: State.GREET},
    State.READY: {
        Hello: State.READY,
        Reset: State.READY,
        StartTls: State.GREET,
        XClient: State.GREET,
        Auth: State.READY,
        Etrn: State.READY,
        Atrn: State.TURNED,
        TakeBack: State.READY,
        Mail: State.SENDER,
    },
    State.SENDER: {Hello: State.READY, Reset: State.READY, Rcpt: State.RECIPIENTS},
    State.RECIPIENTS: {
        Hello: State.READY,
        Reset: State.READY,
        Rcpt: State.RECIPIENTS,
        Data: State.DATA,
        Bdat: State.CHUNK,
    },
    State.DATA: {BodyEnd: State.READY},
    State.CHUNK: {ChunkEnd: State.CHUNKS, BodyEnd: State.READY},
    State.CHUNKS: {Hello: State.READY, Reset: State.READY, Bdat: State.CHUNK},
    State.TURNED: {},
}
ORDERED: set[type[Event]] = {event for row in TRANSITIONS.values() for event in row}

#: The verbs of those events, as far as they are said in a line of their own.
ORDERED_VERBS: dict[str, type[Event]] = {
    "HELO": Hello,
    "EHLO": Hello,
    "MAIL": Mail,
    "RCPT": Rcpt,
    "DATA": Data,
    "BDAT": Bdat,
    "RSET": Reset,
    "ETRN": Etrn,
    "ATRN": Atrn,
    "TURN": Atrn,
    "STARTTLS": StartTls,
    "XCLIENT": XClient,
    "XDROP": TakeBack,
    "AUTH": Auth,
    "SEND": Mail,
    "SOML": Mail,
    "SAML": Mail,
}

BEGUN = "a message is begun already; finish it, or RSET"
_OF_A_MESSAGE = (Rcpt, Data, Bdat)

#: What should have come instead; for an event that belongs to a message (RCPT, DATA, BDAT), and for the others.
EXPECTED = {
    State.GREET: ("say EHLO first", "say EHLO first"),
    State.READY: ("MAIL comes first", "MAIL comes first"),
    State.SENDER: ("a RCPT that is accepted comes first", BEGUN),
    State.RECIPIENTS: ("finish this message with DATA or BDAT, or RSET", BEGUN),
    State.CHUNKS: ("finish this message with BDAT LAST, or RSET", BEGUN),
}


def expected(state: State, event: Event) -> str:
    """What should have come instead of an event that is out of order."""
    of_a_message, otherwise = EXPECTED[state]
    return of_a_message if isinstance(event, _OF_A_MESSAGE) else otherwise


def legal(state: State) -> tuple[str, ...]:
    """The verbs whose turn it is."""
    row = TRANSITIONS[state]
    return tuple(verb for verb in PARSERS if verb not in ORDERED_VERBS or ORDERED_VERBS[verb] in row)
