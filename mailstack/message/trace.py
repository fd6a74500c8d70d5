"""The fields that we put before a message. RFC 5321 §4.4."""

from __future__ import annotations

from email.utils import formatdate

from attrs import frozen

from mailstack.model.address import Address, path
from mailstack.model.letter import Recipient


@frozen
class Hop:
    """How a message came to us."""

    helo: str
    client: str  #: IP address, or a word where there is none
    hostname: str  #: ours
    protocol: str  #: SMTP, ESMTP, ESMTPS, ESMTPA, ESMTPSA: RFC 3848
    tls: str  #: version and cipher, "" without
    name: str = ""  #: of the client's host, if it is known


def date(now: float) -> str:
    """RFC 5322 §3.3, in UTC."""
    return formatdate(now).replace("-0000", "+0000")


def delivery_fields(sender: Address | None, recipients: tuple[Recipient, ...]) -> bytes:
    """Return-Path, and Delivered-To when there is one recipient: of use in a Maildir, not to be relayed."""
    fields = f"Return-Path: {path(sender)}\n"
    if len(recipients) == 1:
        fields += f"Delivered-To: {recipients[0].address}\n"
    return fields.encode("ascii")


def received(hop: Hop, id: str, recipients: tuple[Recipient, ...], now: float) -> bytes:
    """The Received field. The recipient is named only when it is alone, or Bcc would leak."""
    client = f"IPv6:{hop.client}" if ":" in hop.client else hop.client
    name = f"{hop.name} " if hop.name else ""
    lines = [f"Received: from {hop.helo} ({name}[{client}])"]
    if hop.tls:
        lines.append(f"(using {hop.tls})")
    lines.append(f"by {hop.hostname} (mailstack) with {hop.protocol} id {id}")
    if len(recipients) == 1:
        lines.append(f"for {path(recipients[0].original)}")
    return ("\n\t".join(lines) + f";\n\t{date(now)}\n").encode("ascii")
