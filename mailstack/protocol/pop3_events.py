"""What a POP3 client can want, and what it is told: the values between :mod:`.pop3` and the policy."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from mailstack.protocol.sasl_steps import Agreed, Lookup, Proof


@frozen
class Response:
    """``+OK`` or ``-ERR``, a response code of RFC 2449 §8 (``""``: none), one line of text.

    ``body`` follows in a multi-line response: pieces of any size with LF line ends, made while they are sent, but for a
    list, which is there already.
    ``last``: hang up afterwards. ``challenge``: the exchange of AUTH goes on, and ``text`` is base64 (RFC 5034 §4).
    """

    positive: bool
    text: str = ""
    code: str = ""
    body: Iterable[bytes] | None = None
    last: bool = False
    challenge: bool = False

    def line(self) -> bytes:
        """The first line, with its end."""
        if self.challenge:
            return f"+ {self.text}\r\n".encode("ascii")
        code = f"[{self.code}]" if self.code else ""
        words = ["+OK" if self.positive else "-ERR", code, self.text]
        return " ".join(word for word in words if word).encode("utf-8", "replace") + b"\r\n"


def ok(text: str = "", body: Iterable[bytes] | None = None) -> Response:
    return Response(True, text, body=body)


def err(text: str, code: str = "", last: bool = False) -> Response:
    return Response(False, text, code, last=last)


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
    | Stat
    | List
    | Uidl
    | Retrieve
    | Top
    | Delete
    | Reset
    | Quit
)
