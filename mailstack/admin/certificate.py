"""Certificates and their keys: readable, pairs, in time, for our name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from mailstack.admin.findings import Finding, Level
from mailstack.server.certificate_files import Unusable, read
from mailstack.server.certificate_names import forms, names

SOON = timedelta(days=14)  # certificates for 90 days are renewed a month before their end


def inspect(pairs: Sequence[tuple[Path, Path]], hostname: str, now: datetime) -> Iterator[Finding]:
    """Certificates and their keys; a client that wants ``hostname`` gets the one that is for it."""
    leaves = []
    for certificate, key in pairs:
        try:
            leaf, _ = read(certificate, key)
        except OSError as error:
            yield Finding(Level.PROBLEM, f"{error.filename} cannot be read: {error.strerror}")
        except Unusable as error:
            yield Finding(Level.PROBLEM, str(error))
        else:
            leaves.append(leaf)
            yield _time(certificate, leaf, now)
    if len(leaves) == len(pairs) and not any(names(leaf).intersection(forms(hostname)) for leaf in leaves):
        which = f"{pairs[0][0]} is not" if len(pairs) == 1 else "none of the certificates is"
        yield Finding(Level.WARNING, f"{which} for {hostname}: mail programs will complain")


def _time(path: Path, leaf: x509.Certificate, now: datetime) -> Finding:
    until = leaf.not_valid_after_utc
    day = until.strftime("%Y-%m-%d")
    if now > until:
        return Finding(Level.PROBLEM, f"{path} has expired on {day}")
    if now < leaf.not_valid_before_utc:
        return Finding(Level.PROBLEM, f"{path} is valid from {leaf.not_valid_before_utc:%Y-%m-%d} only")
    if until - now < SOON:
        return Finding(Level.WARNING, f"{path} expires on {day}")
    return Finding(Level.OK, f"{path}: valid until {day}, with its key")
