"""The fields that we put before a message. RFC 5321 §4.4."""

from __future__ import annotations

from email.utils import formatdate
from functools import lru_cache

from mailstack.model.address import DOMAIN, Address
from mailstack.model.letter import Recipient
from mailstack.model.value import frozen


@frozen
class Hop:
    """How a message came to us."""

    helo: str  #: what it calls itself: printable ASCII, but nothing that could end a comment
    client: str  #: IP address, or a word where there is none
    hostname: str  #: ours
    protocol: str  #: SMTP, ESMTP, ESMTPS, ESMTPA, ESMTPSA: RFC 3848; UTF8SMTP, UTF8SMTPS, …: RFC 6531 §3.7.3
    tls: str  #: version and cipher, "" without
    name: str = ""  #: of the client's host, if it is known
    userid: int | None = None  #: of a user of this machine, by whom it came without a network


def date(now: float) -> str:
    """RFC 5322 §3.3, in UTC."""
    return _date(int(now))


@lru_cache(maxsize=1)
def _date(now: int) -> str:
    return formatdate(now).replace("-0000", "+0000")


def delivery_fields(sender: Address | None, recipients: tuple[Recipient, ...], utf8: bool = False) -> bytes:
    """Return-Path, and Delivered-To when there is one recipient: of use in a Maildir, not to be relayed. ``utf8``: the
    message came with SMTPUTF8, so domains are shown with U-labels."""
    fields = f"Return-Path: <{_shown(sender, utf8)}>\n"
    if len(recipients) == 1:
        fields += f"Delivered-To: {_shown(recipients[0].address, utf8)}\n"
    return fields.encode()


def received(hop: Hop, id: str, recipients: tuple[Recipient, ...], now: float, utf8: bool = False) -> bytes:
    """The Received field. The recipient is named only when it is alone, or Bcc would leak."""
    if hop.userid is None:
        lines = [f"Received: from {_from(hop)}"]
        if hop.tls:
            lines.append(f"(using {hop.tls})")
        lines.append(f"by {hop.hostname} (mailstack) with {hop.protocol} id {id}")
    else:
        lines = [f"Received: by {hop.hostname} (mailstack, from userid {hop.userid}) id {id}"]
    if len(recipients) == 1 and _may_be_named(recipients[0]):
        lines.append(f"for <{_shown(recipients[0].original, utf8 and not recipients[0].original.isascii)}>")
    return ("\n\t".join(lines) + f";\n\t{date(now)}\n").encode()


def _from(hop: Hop) -> str:
    """RFC 5321 §4.4, From-domain. A name that can be none stands in the comment, as with qmail and Exim."""
    client = f"[IPv6:{hop.client}]" if ":" in hop.client else f"[{hop.client}]"
    seen = f"{hop.name} {client}" if hop.name else client
    return f"{hop.helo} ({seen})" if DOMAIN.match(hop.helo) else f"unknown (HELO {hop.helo} {seen})"


def _may_be_named(recipient: Recipient) -> bool:
    """A name beyond ASCII, in a field that is relayed, would ask for SMTPUTF8 where the address itself does not."""
    return recipient.original.isascii or not recipient.address.isascii


def _shown(address: Address | None, utf8: bool) -> str:
    if address is None:
        return ""
    return address.unicode if utf8 else str(address)
