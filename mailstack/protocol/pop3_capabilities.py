"""What a client may know of the server, and what it has agreed with it: CAPA. RFC 2449 §6."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from attrs import define, frozen

from mailstack.protocol.pop3_texts import PLAIN

IMPLEMENTATION = "mailstack"


@frozen
class Terms:
    """What holds for a client."""

    language: str = PLAIN  #: a tag that LANG knows: what the administrator prefers, for ``LANG *``
    login_delay: int = 0  #: seconds between two log-ins of one account, from one place
    expire: int | None = None  #: days after which messages are removed; None: never


@define
class Client:
    """What is settled with one client. ``mechanisms`` of SASL are those that can succeed at the moment,
    ``terms`` what holds for whoever has logged in."""

    mechanisms: Callable[[], Sequence[str]]
    terms: Callable[[], Terms]
    secure: bool  #: TLS is up
    trusted: bool  #: nobody can listen in between
    starttls: bool  #: TLS is to be had
    required: bool  #: nothing is done without TLS, for whomever
    name: str = ""  #: said with USER
    utf8: bool = False  #: UTF8 was said
    language: str = PLAIN  #: of our texts
    inside: bool = False  #: logged in

    @property
    def passwords(self) -> bool:
        """They may be sent."""
        return self.secure or (self.trusted and not self.required)

    def secured(self) -> None:
        """What was said in plain may have come from somebody in between (RFC 2595 §2.4, RFC 6856 §7)."""
        self.secure = True
        self.name, self.utf8, self.language = "", False, PLAIN


def capabilities(client: Client) -> Iterator[str]:
    """The lines of CAPA. What is announced can be used: no USER where it would be refused."""
    yield "TOP"
    yield "UIDL"
    mechanisms = client.mechanisms() if client.passwords else ()
    if client.passwords:
        yield "USER"
    if mechanisms:
        yield f"SASL {' '.join(mechanisms)}"
    if client.starttls and not client.secure and not client.inside:
        yield "STLS"  # RFC 2595 §4: "present and permitted in the current state"
    yield "RESP-CODES"
    yield "AUTH-RESP-CODE"
    yield "PIPELINING"
    if client.secure or not client.required:
        yield "UTF8 USER" if client.passwords else "UTF8"
        yield "LANG"
    terms = client.terms()
    yield f"LOGIN-DELAY {terms.login_delay}"
    yield f"EXPIRE {'NEVER' if terms.expire is None else terms.expire}"
    if client.inside:
        yield f"IMPLEMENTATION {IMPLEMENTATION}"  # RFC 2449 §6.9 lets us keep it from strangers
