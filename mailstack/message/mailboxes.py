"""The mailboxes that a From or Sender field names. RFC 5322 §3.4, with groups (RFC 6854) and UTF-8 (RFC 6532).

The parsers of the standard library guess what a broken field may have meant, and readers of mail guess otherwise: of
``alice@a.test boss@b.test`` one sees only alice. Some of them raise IndexError or RecursionError, or take quadratic
time. Who checks an address must not guess, so what has not just one meaning is refused here. Of ``a@b <c@d>``, which
some programs write where a name should be quoted, both are mailboxes, whichever a reader may see.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mailstack.model.address import Address, composed, unquoted, visible
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
#   The same without its domain, as people of one house write it.
_NAME = r"[AQ](?:\.[AQ])*(?:@(?:A(?:\.A)*|L))?"


def _item(spec: str) -> re.Pattern[str]:
    """mailbox = [phrase] "<" addr-spec ">" / addr-spec, or an address for the phrase;
    a group is a phrase, ":", a list and ";"."""
    return re.compile(
        rf"""(?: (?: (?P<said>{_SPEC}) | [AQ][AQ.]* )? <(?P<angle>{spec})> | (?P<bare>{spec}) ) (?=[,;]|\Z)
            | (?P<open>[AQ][AQ.]*:) | (?P<close>;(?=,|\Z)) | ,+""",
        re.VERBOSE,
    )


_ITEM, _ITEM_OR_NAME = _item(_SPEC), _item(_NAME)


class BadField(ValueError):
    """The field cannot be understood; the message says why, in words for a reply."""


def mailboxes(value: bytes, home: str = "", most: int = MAX_FIELD) -> Iterator[Address]:
    """All mailboxes in the field's value, which may be folded, in order. Bare names belong to ``home``; without it they
    are none. BadField may come after some of them; also when there are more than ``most`` octets."""
    if len(value) > most:
        raise BadField(f"is longer than {most} octets")
    tokens = list(_tokens(_readable(value.replace(b"\n", b""))))
    for start, end in _specs(tokens, _ITEM_OR_NAME if home else _ITEM):
        yield _address([token.text for token in tokens[start:end]], home)


class Mailbox(NamedTuple):
    name: str  #: as it is shown, "" without one; comments are left out
    address: Address


def named(value: bytes, most: int = MAX_FIELD) -> list[Mailbox]:
    """All mailboxes with their names, groups taken apart. BadField."""
    if len(value) > most:
        raise BadField(f"is longer than {most} octets")
    tokens = list(_tokens(_readable(value.replace(b"\n", b""))))
    found = []
    for item in _items(tokens, _ITEM):
        start, end = item.span("angle" if item["angle"] else "bare")
        words = [token.text for token in tokens[item.start() : max(item.start(), start - 1)]]
        address = _address([token.text for token in tokens[start:end]], "")
        found.append(Mailbox(" ".join(map(unquoted, words)).replace(" .", "."), address))
    return found


def completed(value: bytes, home: str) -> bytes:
    """The same value with ``@home`` behind each bare name; BadField."""
    # White space as long as what it stands for, so that places are the same.
    tokens = list(_tokens(_readable(value.replace(b"\n", b" "))))
    specs = [tokens[start:end] for start, end in _specs(tokens, _ITEM_OR_NAME)]
    text = value.decode("utf-8", "surrogateescape")
    for place in reversed([spec[-1].end for spec in specs if all(token.kind != "@" for token in spec)]):
        text = f"{text[:place]}@{home}{text[place:]}"
    return text.encode("utf-8", "surrogateescape")


class Token(NamedTuple):
    """``kind`` is A, Q or L, or the special itself; ``end`` is where the next one may begin. A tuple, as there may be
    16,384 of them in one field."""

    kind: str
    text: str
    end: int


def _readable(value: bytes) -> str:
    # Octets that are no UTF-8 are borne in names; no address of ours has any.
    text = value.decode("utf-8", "surrogateescape")
    if _CONTROL.search(text):
        raise BadField("has a control character")
    return text


def _tokens(text: str) -> Iterator[Token]:
    """White space and comments only part others."""
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
            yield Token(found[0] if found.lastgroup == "S" else found.lastgroup, found[0], place)


def _after_comment(text: str, place: int) -> int:
    """Comments can be nested, as deep as anybody likes."""
    depth = 0
    for part in _COMMENT_PART.finditer(text, place):
        depth += {"(": 1, ")": -1}.get(part[0], 0)
        if depth == 0:
            return part.end()
    raise BadField("has a comment without its end")


def _specs(tokens: Sequence[Token], item: re.Pattern[str]) -> Iterator[tuple[int, int]]:
    """Where the addresses stand among the tokens."""
    for found in _items(tokens, item):
        yield from (found.span(name) for name in ("said", "angle", "bare") if found[name])


def _items(tokens: Sequence[Token], item: re.Pattern[str]) -> Iterator[re.Match[str]]:
    """Those that have an address."""
    kinds = "".join(token.kind for token in tokens)
    place, group = 0, False
    while place < len(kinds):
        found = item.match(kinds, place)
        if found is None or (found["open"] and group) or (found["close"] and not group):
            raise BadField("is not a list of addresses")
        group = (group or bool(found["open"])) and not found["close"]
        place = found.end()
        if found["angle"] or found["bare"]:
            yield found
    if group:
        raise BadField("has a group without its end")


def _address(words: list[str], home: str) -> Address:
    """Of local part, "@" and domain. A quoted string means what is in it."""
    at = words.index("@") if "@" in words else len(words)
    local = "".join(map(unquoted, words[:at]))
    if home and not visible(local):
        # Who only compares addresses need not care; here it is one that mail shall go to.
        raise BadField("has an address with characters that nobody can read")
    try:
        return Address(composed(local), to_ascii("".join(words[at + 1 :])) or home)
    except ValueError:
        raise BadField("names a domain that cannot be one") from None
