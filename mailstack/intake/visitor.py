"""Who is at the other end of a session, as far as that is known."""

from __future__ import annotations

from attrs import define

from mailstack.interfaces import Bindings, no_bindings
from mailstack.model.address import Address
from mailstack.protocol.smtp_events import Hello

NO_HELLO = Hello("", False)


@define
class Visitor:
    address: str  #: IP address; "" for a UNIX socket
    loopback: bool
    tls: str = ""  #: version and cipher; "" without
    hello: Hello = NO_HELLO
    user: Address | None = None  #: the account that was logged in to
    bindings: Bindings = no_bindings  #: of the TLS channel

    def secured(self, tls: str, bindings: Bindings = no_bindings) -> None:
        """TLS is up: what was said in plain may have been said by somebody in between (RFC 3207 §4.2)."""
        self.tls, self.bindings, self.hello, self.user = tls, bindings, NO_HELLO, None

    @property
    def confidential(self) -> bool:
        """Whether nobody in between can read a password."""
        return bool(self.tls) or self.loopback

    @property
    def protocol(self) -> str:
        """SMTP, ESMTP, ESMTPS, ESMTPA or ESMTPSA: RFC 3848, which has no words for HELO with more."""
        if not self.hello.extended:
            return "SMTP"
        return f"ESMTP{'S' * bool(self.tls)}{'A' * (self.user is not None)}"

    def __str__(self) -> str:
        """As Postfix writes clients whose name it did not look up."""
        return f"unknown[{self.address or 'local'}]"
