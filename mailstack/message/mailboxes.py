"""The mailboxes that a From or Sender field names. RFC 5322 §3.4, with groups (RFC 6854) and UTF-8 (RFC 6532).

The parsers of the standard library guess what a broken field may have meant, and readers of mail guess otherwise: of
``alice@a.test boss@b.test`` one sees only alice. Some of them raise IndexError or RecursionError, or take quadratic
time. Who checks an address must not guess, so what has not just one meaning is refused here. Of ``a@b <c@d>``, which
some programs write where a name should be quoted, both are mailboxes, whichever a reader may see.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mailstack.model.address import Address, composed, unquoted
from mailstack.model.domain import to_ascii

#: Octets of one field that are taken: the work must be bounded, and some hundred authors are enough for everybody.
MAX_FIELD = 16 * 1024

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
#   atext, quoted-string, domain-literal, specials; obsolete forms that have one meaning are borne.
_TOKEN = re.compile(
    r"""[ \t]+ | (?P<Q>"[^"\\]*(?:\\.[^"\\]*)*") | (?P<L>\[[^\[\]\\]*\])
        | (?P<A>[^\ \t()<>\[\]:;@\\,."]+) | (?P<S>[<>@,;:.])""",
    re.VERBOSE,
)
_COMMENT_PART = re.compile(r"[()] | (?:[^()\\] | \\.)+ | \\", re.VERBOSE)

#   addr-spec = local-part "@" domain, in kinds of tokens: A an atom, Q a quoted string, L a literal.
_SPEC = r"[AQ](?:\.[AQ])*@(?:A(?:\.A)*|L)"
#   mailbox = [phrase] "<" addr-spec ">" / addr-spec, or an address for the phrase;
#   a group is a phrase, ":", a list and ";".
_ITEM = re.compile(
    rf"""(?: (?: (?P<said>{_SPEC}) | [AQ][AQ.]* )? <(?P<angle>{_SPEC})> | (?P<bare>{_SPEC}) ) (?=[,;]|\Z)
        | (?P<open>[AQ][AQ.]*:) | (?P<close>;(?=,|\Z)) | ,+""",
    re.VERBOSE,
)


class BadField(ValueError):
    """The field cannot be understood; the message says why, in words for a reply."""


def mailboxes(value: bytes) -> Iterator[Address]:
    """All mailboxes in the field's value, which may be folded, in order. BadField may come after some of them."""
    if len(value) > MAX_FIELD:
        raise BadField(f"is longer than {MAX_FIELD} octets")
    # Octets that are no UTF-8 are borne in names; no address of ours has any.
    text = value.replace(b"\n", b"").decode("utf-8", "surrogateescape")
    if _CONTROL.search(text):
        raise BadField("has a control character")
    tokens = list(_tokens(text))
    kinds = "".join(kind for kind, _ in tokens)
    for start, end in _specs(kinds):
        yield _address([text for _, text in tokens[start:end]])


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    """Kind and text of each; white space and comments only part others."""
    place = 0
    while place < len(text):
        if text[place] == "(":
            place = _after_comment(text, place)
            continue
        found = _TOKEN.match(text, place)
        if found is None:
            raise BadField(f"has a {text[place]!r} that does not fit")
        place = found.end()
        if found.lastgroup is not None:
            yield (found[0] if found.lastgroup == "S" else found.lastgroup), found[0]


def _after_comment(text: str, place: int) -> int:
    """Comments can be nested, as deep as anybody likes."""
    depth = 0
    for part in _COMMENT_PART.finditer(text, place):
        depth += {"(": 1, ")": -1}.get(part[0], 0)
        if depth == 0:
            return part.end()
    raise BadField("has a comment without its end")


def _specs(kinds: str) -> Iterator[tuple[int, int]]:
    """Where the addresses stand among the tokens."""
    place, group = 0, False
    while place < len(kinds):
        found = _ITEM.match(kinds, place)
        if found is None or (found["open"] and group) or (found["close"] and not group):
            raise BadField("is not a list of addresses")
        group = (group or bool(found["open"])) and not found["close"]
        place = found.end()
        yield from (found.span(name) for name in ("said", "angle", "bare") if found[name])
    if group:
        raise BadField("has a group without its end")


def _address(words: list[str]) -> Address:
    """Of local part, "@" and domain. A quoted string means what is in it."""
    at = words.index("@")
    local = "".join(map(unquoted, words[:at]))
    try:
        return Address(composed(local), to_ascii("".join(words[at + 1 :])))
    except ValueError:
        raise BadField("names a domain that cannot be one") from None
