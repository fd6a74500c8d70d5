"""What a POP3 client can want, and what it is told: the values between :mod:`.pop3` and the policy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import field, frozen

from mailstack.protocol.pop3_texts import PLAIN, TEXTS, key_of
from mailstack.protocol.sasl_steps import Agreed, Lookup, Proof


@frozen
class Response:
    """``+OK`` or ``-ERR``, a response code of RFC 2449 §8 (``""``: none), ``data`` for programs, a text for people.

    ``key`` names the text in ``pop3_replies.toml`` (``""``: none), ``facts`` are what it has in braces.
    ``body`` follows in a multi-line response: pieces of any size with LF line ends, made while they are sent, but for a
    list, which is there already.
    ``last``: hang up afterwards. ``challenge``: the exchange of AUTH goes on, and ``data`` is base64 (RFC 5034 §4).
    """

    positive: bool
    key: str = ""
    code: str = ""
    data: str = ""
    facts: Mapping[str, object] = field(factory=dict)
    body: Iterable[bytes] | None = None
    last: bool = False
    challenge: bool = False

    def line(self, language: str = PLAIN) -> bytes:
        """The first line, with its end."""
        if self.challenge:
            return f"+ {self.data}\r\n".encode("ascii")
        status = "+OK" if self.positive else "-ERR"
        code = f"[{self.code}]" if self.code else ""
        text = TEXTS[self.key][language].format(**self.facts) if self.key else ""
        return " ".join(word for word in (status, code, self.data, text) if word).encode("utf-8", "replace") + b"\r\n"


def ok(key: str = "", body: Iterable[bytes] | None = None, *, data: str = "", **facts: object) -> Response:
    return Response(True, key, data=data, facts=facts, body=body)


def err(key: str, code: str = "", last: bool = False, **facts: object) -> Response:
    return Response(False, key, code, facts=facts, last=last)


def refusal(english: str, code: str) -> Response:
    """Another part refuses; its words are translated where they are known."""
    key = key_of(english)
    return err(key, code) if key else Response(False, code=code, data=english)


@frozen
class Settled:
    """Needs no decision: bad syntax, out of order, or something that the protocol answers by itself."""

    response: Response


@frozen
class Login:
    """USER and PASS, or AUTH with a password; ``authzid`` is "" unless somebody wants to act for somebody else."""

    name: str
    password: str
    authzid: str = ""
    mechanism: str = "PLAIN"  #: for the log, where USER and PASS are Dovecot's PLAIN

    def __repr__(self) -> str:
        return f"Login({self.name!r})"


@frozen
class Auth:
    """AUTH with a mechanism that is on offer here: a positive answer, whose text is not sent, starts the exchange.

    ``initial`` is the initial response in base64, None without one.
    """

    mechanism: str
    initial: bytes | None = None

    def __repr__(self) -> str:
        return f"Auth({self.mechanism!r})"


@frozen
class StartTls:
    """STLS: TLS follows a positive answer."""


@frozen
class Utf8:
    """UTF8: messages may have UTF-8 in their headers from now on (RFC 6856 §2.1)."""


@frozen
class Stat:
    pass


@frozen
class List:
    """LIST of one message or of all (None). Numbers are as the client counts: from 1, and maybe out of range."""

    number: int | None


@frozen
class Uidl:
    number: int | None


@frozen
class Retrieve:
    number: int


@frozen
class Top:
    """The header and ``lines`` lines of the body."""

    number: int
    lines: int


@frozen
class Delete:
    number: int


@frozen
class Reset:
    pass


@frozen
class Quit:
    pass


Event = (
    Settled
    | Login
    | Auth
    | Lookup
    | Proof
    | Agreed
    | StartTls
    | Utf8
    | Stat
    | List
    | Uidl
    | Retrieve
    | Top
    | Delete
    | Reset
    | Quit
)
