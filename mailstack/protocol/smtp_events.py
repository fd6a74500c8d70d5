"""What an SMTP client can want: the events between :mod:`.smtp_server` and the policy."""

from __future__ import annotations

from mailstack.model.address import Address
from mailstack.model.hold import Hold
from mailstack.model.letter import NOT_SAID, Notify
from mailstack.model.reply import Reply
from mailstack.model.value import frozen
from mailstack.protocol.sasl_steps import Agreed, Lookup, Proof


@frozen
class Hello:
    """HELO or EHLO (``extended``). The name is what the client says, bounded and printable."""

    name: str
    extended: bool


@frozen
class Mail:
    """MAIL FROM. ``size`` in octets as declared (RFC 1870), 0 when not; ``body`` is 7BIT or 8BITMIME (RFC 6152)."""

    sender: Address | None
    size: int = 0
    body: str = "7BIT"
    smtputf8: bool = False  #: RFC 6531: UTF-8 may be in the addresses and the header
    require_tls: bool = False  #: RFC 8689
    ret: str = ""  #: FULL, HDRS, or "" when not said (RFC 3461)
    envid: str = ""  #: xtext, as it came; "" without
    hold: Hold | None = None  #: RFC 4865


@frozen
class Rcpt:
    """RCPT TO. ``utf8``: it has characters above ASCII, for which MAIL must have said SMTPUTF8."""

    recipient: Address
    notify: Notify = NOT_SAID
    orcpt: str = ""  #: as it came, "" without
    utf8: bool = False


@frozen
class Data:
    """DATA: a positive answer is 354."""


@frozen
class Body:
    """Part of the message: no answer. LF line ends, dots unstuffed."""

    chunk: bytes
    lines: int  #: how many end in it


@frozen
class BodyEnd:
    """The message is complete: CRLF.CRLF was seen, or all octets of ``BDAT … LAST``. ``stray`` when a bare CR or LF was
    somewhere in it."""

    stray: bool


@frozen
class Bdat:
    """BDAT (RFC 3030): so many octets of the message follow, ``last`` if these are all. A positive answer is not
    said: that to :class:`ChunkEnd` or :class:`BodyEnd` is, when the octets have come."""

    size: int
    last: bool = False


@frozen
class ChunkEnd:
    """The octets of a chunk that is not the last one have come."""

    size: int


@frozen
class Reset:
    pass


@frozen
class Noop:
    pass


@frozen
class Quit:
    pass


@frozen
class Help:
    """HELP; ``topic`` in capitals, "" for none. ``legal`` are the verbs whose turn it is now."""

    topic: str
    legal: tuple[str, ...] = ()


@frozen
class Verify:
    """VRFY or EXPN with its argument as written, SMTPUTF8 behind it taken off (RFC 6531 §3.7.4.2)."""

    verb: str
    argument: str
    smtputf8: bool = False  #: it was there, so UTF-8 may be in the answer


@frozen
class Obsolete:
    """SEND, SOML, SAML or TURN of RFC 821. ``instead`` is what it stands for; who answers yes means that."""

    verb: str
    instead: Mail | Atrn | Rejected


@frozen
class Etrn:
    """ETRN, RFC 1985. ``option`` is "", "@" (with sub-domains) or "#" (``node`` names a queue)."""

    option: str
    node: str


@frozen
class Atrn:
    """ATRN, RFC 2645. Without ``domains`` all that the client may have. A positive answer turns the roles."""

    domains: tuple[str, ...] = ()


@frozen
class TakeBack:
    """XDROP: the sender wants a letter back, by its queue id; "" asks which there are."""

    id: str = ""


@frozen
class StartTls:
    pass


@frozen
class Auth:
    """AUTH with a mechanism that may or may not be known. A positive answer (334) starts the exchange, which says
    the rest itself; ``initial`` is the initial response, in base64."""

    mechanism: str
    initial: str | None = None

    def __repr__(self) -> str:
        return f"Auth({self.mechanism!r})"


@frozen
class XClient:
    """A proxy names its client; "" is what it does not say or know. ``login`` is the account that it has let in. A
    positive answer is 220, and the session begins anew."""

    name: str = ""
    address: str = ""
    hello: str = ""
    login: str = ""


@frozen
class Challenge:
    """The exchange goes on: ``reply`` is the answer to give."""

    reply: Reply


@frozen
class Credentials:
    """The end of an exchange: what the client claims. RFC 4616 §2: ``authzid`` is "" unless it differs."""

    name: str
    password: str
    authzid: str = ""

    def __repr__(self) -> str:
        return f"Credentials({self.name!r})"


@frozen
class Rejected:
    """A command that is wrong by itself: unknown, bad syntax, out of order. ``reply`` is the answer it earns."""

    reply: Reply


@frozen
class Hopeless:
    """Whoever that is does not speak our SMTP: ``reply`` is the last word. ``what`` is for the log."""

    what: str
    reply: Reply


Event = (
    Hello
    | Mail
    | Rcpt
    | Data
    | Body
    | BodyEnd
    | Bdat
    | ChunkEnd
    | Reset
    | Noop
    | Quit
    | Help
    | Verify
    | Obsolete
    | Etrn
    | Atrn
    | TakeBack
    | StartTls
    | XClient
    | Auth
    | Challenge
    | Credentials
    | Lookup
    | Proof
    | Agreed
    | Rejected
    | Hopeless
)
