"""Who is at the other end of a session, as far as that is known."""

from __future__ import annotations

from ipaddress import ip_address

from attrs import define, evolve

from mailstack.interfaces.accounts import Bindings, no_bindings
from mailstack.model.address import Address
from mailstack.protocol.smtp_events import Hello, XClient

NO_HELLO = Hello("", False)


@define
class Visitor:
    address: str  #: IP address; "" for a UNIX socket, or if a proxy does not know it
    loopback: bool
    tls: str = ""  #: version and cipher; "" without
    hello: Hello = NO_HELLO
    user: Address | None = None  #: the account that was logged in to
    bindings: Bindings = no_bindings  #: of the TLS channel
    name: str = ""  #: of the host, if a proxy knows it
    named: bool = False  #: by a proxy, with XCLIENT
    announced: str = ""  #: the name in the client's own greeting, if a proxy knows it
    userid: int | None = None  #: of the user of this machine who is at work here, without a network in between

    def secured(self, tls: str, bindings: Bindings = no_bindings) -> None:
        """TLS is up: what was said in plain may have been said by somebody in between (RFC 3207 §4.2). The address that
        a proxy gave stays: without it, the proxy's clients would be trusted as the proxy is."""
        self.tls, self.bindings, self.hello, self.user, self.announced = tls, bindings, NO_HELLO, None, ""

    def greeted(self, hello: Hello) -> None:
        self.hello = evolve(hello, name=self.announced) if self.announced else hello

    def renamed(self, client: XClient, user: Address | None) -> None:
        """A proxy has named its client: nothing that was true of the proxy is true of that one, but for TLS."""
        self.named = True
        self.name, self.announced = client.name, client.hello
        self.hello, self.user = NO_HELLO, user
        # The channel is the proxy's, not the client's.
        self.bindings = no_bindings
        self.address = client.address
        self.loopback = bool(client.address) and ip_address(client.address).is_loopback

    @property
    def confidential(self) -> bool:
        """Whether nobody in between can read a password."""
        return bool(self.tls) or self.loopback

    @property
    def protocol(self) -> str:
        """SMTP, ESMTP, ESMTPS, ESMTPA or ESMTPSA: RFC 3848, which has no words for HELO with more."""
        return self.protocol_of(smtputf8=False)

    def protocol_of(self, smtputf8: bool) -> str:
        """With SMTPUTF8 in MAIL it is UTF8SMTP, UTF8SMTPS, …: RFC 6531 §3.7.3."""
        if smtputf8:
            return f"UTF8SMTP{self._protection}"
        return f"ESMTP{self._protection}" if self.hello.extended else "SMTP"

    @property
    def _protection(self) -> str:
        return f"{'S' * bool(self.tls)}{'A' * (self.user is not None)}"

    @property
    def place(self) -> str:
        """The IP address, ``local`` for a UNIX socket, ``unknown`` if a proxy does not know it."""
        return self.address or ("local" if self.loopback else "unknown")

    def __str__(self) -> str:
        """As Postfix writes clients; we look no names up."""
        return f"{self.name or 'unknown'}[{self.place}]"
