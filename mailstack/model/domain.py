"""Domain names that have letters beyond ASCII: one form to keep and to compare, one to show. RFC 5890.

The A-label form (``xn--…``) is what DNS has, and what every address and setting keeps; so two spellings of one domain
are one. The U-label form is for people, and for SMTPUTF8.
"""

from __future__ import annotations

from functools import lru_cache

MAX_DOMAIN = 255  #: octets, RFC 5321 §4.5.3.1.2


@lru_cache(maxsize=1024)
def to_ascii(domain: str) -> str:
    """Lower case, A-labels. ValueError when it has letters that no domain can have; what is ASCII is not looked at."""
    if domain.isascii():
        return domain.lower()
    if len(domain.encode("utf-8", "surrogatepass")) > MAX_DOMAIN:  # or the tables would take their time
        raise ValueError(f"{domain[:MAX_DOMAIN]!r} is too long for a domain")
    import idna  # here, because it reads large tables, and most servers never meet such a domain

    try:
        mapped = idna.uts46_remap(domain, std3_rules=False, transitional=False)
        labels = [label if label.isascii() else idna.alabel(label).decode("ascii") for label in mapped.split(".")]
    except (idna.IDNAError, UnicodeError) as error:
        raise ValueError(f"{domain!r} is not a domain: {error}") from error
    return ".".join(labels)


@lru_cache(maxsize=1024)
def to_unicode(domain: str) -> str:
    """U-labels, of an A-label form; a label that is none although it looks like one stays as it is."""
    if "xn--" not in domain:
        return domain
    return ".".join(_unicode_label(label) for label in domain.split("."))


def _unicode_label(label: str) -> str:
    import idna

    try:
        return idna.ulabel(label) if label.startswith("xn--") else label
    except (idna.IDNAError, UnicodeError):
        return label
