"""The beginning of a session with a POP3 server: greeting, CAPA, STLS, log-in. RFC 1939, 2449, 2595, 5034.

A generator that says what to do and is told what came of it; it does no I/O.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Generator, Mapping

from attrs import field, frozen

from mailstack.protocol.pop3_client import Answer, Shape
from mailstack.protocol.scram_client import Distrust, ScramClient


@frozen
class Ask:
    """A command; the answer is sent into the generator."""

    line: bytes = field(repr=False)  #: may hold the password
    shape: Shape = Shape.LINE


@frozen
class Greet:
    """Wait for the greeting; the answer is sent into the generator."""


@frozen
class Secure:
    """Begin TLS, and check whom it is with; nothing is sent into the generator."""


@frozen
class Heard:
    answer: Answer
    rows: tuple[bytes, ...] = ()


@frozen
class Login:
    name: str
    password: bytes = field(repr=False)  #: as typed
    prepared: bytes = field(repr=False)  #: as SASLprep makes it
    nonce: str  #: for SCRAM


@frozen
class Manner:
    """``encrypted``: TLS is up before the greeting. ``plain``: without TLS is borne, where the server has none."""

    login: Login
    encrypted: bool = False
    plain: bool = False


#: Keyword, in capitals, to its arguments.
Capabilities = Mapping[str, tuple[str, ...]]


class Refused(Exception):
    """The server does not let us in, or is not to be trusted; says why, and what to do."""


Opening = Generator[Ask | Greet | Secure, Heard, Capabilities]
Step = Generator[Ask | Greet | Secure, Heard, None]


def opening(manner: Manner) -> Opening:
    """Up to the TRANSACTION state; the result is what the server can do there. Refused."""
    greeting = (yield Greet()).answer
    if not greeting.positive:
        raise Refused(f"the server does not want to talk now: {greeting}")
    offers = yield from _capabilities()
    secure = manner.encrypted
    if not secure:
        secure = yield from _encrypt(manner, offers)
        if secure:
            # RFC 2595 §4: what was said in plain counts no more.
            offers = yield from _capabilities()
    if "UTF8" in offers:
        # RFC 6856 §2.1: before the log-in, or the server may give letters with UTF-8 in the header in another form.
        yield Ask(b"UTF8")
    yield from _log_in(manner.login, offers, secure)
    return (yield from _capabilities()) or offers


def _capabilities() -> Opening:
    """None where the server has no CAPA."""
    heard = yield Ask(b"CAPA", Shape.LIST)
    rows = (row.decode("ascii", "replace").split() for row in heard.rows)
    return {words[0].upper(): tuple(words[1:]) for words in rows if words}


def _encrypt(manner: Manner, offers: Capabilities) -> Generator[Ask | Greet | Secure, Heard, bool]:
    # Old servers may have STLS without CAPA, so they are asked.
    if "STLS" in offers or not offers:
        answer = (yield Ask(b"STLS")).answer
        if answer.positive:
            yield Secure()
            return True
        if "STLS" in offers and not manner.plain:
            raise Refused(f"the server offers STLS and then refuses it: {answer}")
    if not manner.plain:
        raise Refused(
            "the server has no STLS, so everybody on the way could read the password and the letters;"
            " use pop3s://, or --insecure-plaintext if you mean it"
        )
    return False


def _log_in(login: Login, offers: Capabilities, secure: bool) -> Step:
    """SCRAM first, as it does not give the password away. If the server then says no, some have no keys for this
    account, and where TLS is up the password may be sent."""
    mechanisms = {name.upper() for name in offers.get("SASL", ())}
    if "SCRAM-SHA-256" in mechanisms:
        answer = yield from _scram(login)
        if answer.positive:
            return
        if not secure or answer.code in _LATER:
            raise Refused(_why(answer))
    if "PLAIN" in mechanisms:
        answer = yield from _plain(login)
    else:
        answer = yield from _user_pass(login)
    if not answer.positive:
        raise Refused(_why(answer))


Attempt = Generator[Ask | Greet | Secure, Heard, Answer]


def _scram(login: Login) -> Attempt:
    """The last answer."""
    client = ScramClient(login.name, login.prepared, login.nonce)
    try:
        answer = (yield Ask(b"AUTH SCRAM-SHA-256 " + b64encode(client.first()))).answer
        if answer.challenge is None:
            return _no_success(answer)
        answer = (yield Ask(b64encode(client.final(_octets(answer.challenge))))).answer
        if answer.challenge is None:
            return _no_success(answer)
        client.verify(_octets(answer.challenge))
    except Distrust as error:
        raise Refused(f"the server is not to be trusted: {error}") from None
    return (yield Ask(b"")).answer


def _no_success(answer: Answer) -> Answer:
    """Whoever says yes without having proven anything may be anybody."""
    if answer.positive:
        raise Distrust("it ends SCRAM before it has proven that it knows the password")
    return answer


def _octets(challenge: bytes) -> bytes:
    try:
        return b64decode(challenge, validate=True)
    except NotBase64:
        raise Distrust("it says what is no base64") from None


def _plain(login: Login) -> Attempt:
    """RFC 5034 §4: the initial response goes along where the line stays within 255 octets."""
    response = b64encode(b"\0" + login.name.encode() + b"\0" + login.password)
    if len(response) < 255 - len(b"AUTH PLAIN \r\n"):
        return (yield Ask(b"AUTH PLAIN " + response)).answer
    answer = (yield Ask(b"AUTH PLAIN")).answer
    return answer if answer.challenge is None else (yield Ask(response)).answer


def _user_pass(login: Login) -> Attempt:
    answer = (yield Ask(b"USER " + login.name.encode())).answer
    return (yield Ask(b"PASS " + login.password)).answer if answer.positive else answer


#: RFC 2449 §8.1, RFC 3206 §3: it is not about the password.
_LATER = {
    "IN-USE": "somebody has the mailbox open; close the mail programs that look into it, and run this again",
    "LOGIN-DELAY": "the server wants some time to pass between two log-ins; wait, and run this again",
    "SYS/TEMP": "the server has a problem of its own; wait, and run this again",
    "SYS/PERM": "the server has a problem of its own, which its administrator must mend",
}


def _why(answer: Answer) -> str:
    advice = _LATER.get(answer.code, "is the password right, and the name as that server wants it?")
    return f"the server does not let us in: {answer} ({advice})"
