"""Which hosts a certificate is for."""

from __future__ import annotations

from cryptography import x509
from cryptography.x509.oid import NameOID

#: What cryptography has to say of names that it cannot read.
UNREADABLE = (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)


def names(leaf: x509.Certificate) -> frozenset[str]:
    """In lower case; some may begin with ``*.``. Without a list of names, the common name counts (RFC 6125 §6.4.4).
    Empty when the list cannot be read."""
    try:
        listed = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        common = leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return frozenset(str(each.value).lower() for each in common)
    except UNREADABLE:
        return frozenset()
    return frozenset(name.lower() for name in listed.get_values_for_type(x509.DNSName))


def forms(host: str) -> tuple[str, str]:
    """The names that a certificate for this host may have, the best first. A wildcard is one whole label (§6.4.3)."""
    name = host.lower().removesuffix(".")
    return name, "*." + name.partition(".")[2]
