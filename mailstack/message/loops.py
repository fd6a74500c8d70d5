"""Delivered-To: what is forwarded has the address for which it came, and so is known when it comes again."""

from __future__ import annotations

import re
from collections.abc import Iterable

from mailstack.model.address import Address, folded
from mailstack.model.reply import Reply
from mailstack.model.xtext import in_ascii

#: As Postfix's local(8); Received fields are counted, too (:data:`mailstack.config.limits.MAX_RECEIVED`).
BEEN_HERE = Reply(554, "5.4.6", "A forwarding loop: Delivered-To says that this message has been here before")

_DELIVERED_TO = re.compile(rb"^delivered-to[ \t]*:([^\n]*)", re.IGNORECASE | re.MULTILINE)


def delivered_to(address: Address) -> bytes:
    """The field for one of ours that forwards; ASCII, or it would ask the next server for SMTPUTF8."""
    return f"Delivered-To: {in_ascii(str(address))}\n".encode("ascii")


def been_here(header: bytes, originals: Iterable[Address]) -> set[Address]:
    """Those for whom a message with this header (LF line ends) was forwarded before."""
    found = {folded(value.decode("utf-8", "replace").strip()) for value in _DELIVERED_TO.findall(header)}
    return {address for address in originals if folded(in_ascii(str(address))) in found}
