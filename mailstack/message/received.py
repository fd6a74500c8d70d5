"""What a Received field says: one hop of a letter. RFC 5321 §4.4 as far as real lines obey it, and the habits of the
well-known servers for the rest. The fields that we write ourselves are :mod:`.trace`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address

from attrs import Factory, define, frozen

from mailstack.message.received_tls import Tls, tls
from mailstack.message.when import unix_time
from mailstack.model.networks import unmapped

#: RFC 5321 §4.4; "tls" and "group" are RFC 8314 §4.3.
CLAUSES = ("from", "by", "via", "with", "id", "for", "tls", "group")

#   A word may hold quoted strings and angle brackets, in which a blank or a semicolon means nothing.
_WORD = re.compile(r"""(?:"[^"]*"|<[^<>]*>|[^\s();"<>]|["<>])+""")
_BRACKET = re.compile(r"[()]")
_SPACE = re.compile(r"\s+")

#   with-protocol: RFC 3848, RFC 4954, RFC 6531 §4.3. S: encrypted, A: logged in.
_PROTOCOL = re.compile(r"(UTF8)?(SMTP|ESMTP|LMTP|POP3|IMAP)(S)?(A)?\Z", re.IGNORECASE)

_LITERAL = re.compile(r"\[(?:IPv6:)?([0-9A-Fa-f:.]{2,45})(?:%[^\]\s]*)?\]", re.IGNORECASE)
_BARE = re.compile(r"(?:(\S+)@)?([0-9A-Fa-f:.]{2,45})\Z")
_HELLO = re.compile(r"(?:\b(?:HELO|EHLO) |\bhelo=)(\S+)", re.IGNORECASE)
_LOGIN = re.compile(r"Authenticated sender: (\S+)", re.IGNORECASE)
_NO_NAMES = ("unknown", "port", "from", "localhost.localdomain")


@frozen
class Stamp:
    """One Received field. ``""`` is what it does not say."""

    raw: str  #: all of it, on one line
    readable: bool = False
    helo: str = ""  #: what the client called itself
    name: str = ""  #: of the client's address, by DNS, as the server says
    address: str = ""  #: of the client, as the server saw it
    by: str = ""
    software: str = ""
    protocol: str = ""
    via: str = ""
    id: str = ""
    to: str = ""  #: the recipient
    login: str = ""  #: the client's account
    note: str = ""  #: a comment that stands in the place of all others: qmail's, and those of local programs
    tls: Tls | None = None
    date: str = ""  #: as it was written
    time: int | None = None  #: the same as Unix time, if it can be told

    @property
    def encrypted(self) -> bool | None:
        """None: it does not say."""
        found = _PROTOCOL.match(self.protocol)
        if self.tls or (found and found[3]) or self.protocol.upper() == "HTTPS":
            return True
        return False if found else None

    @property
    def authenticated(self) -> bool:
        found = _PROTOCOL.match(self.protocol)
        return bool(self.login or (found and found[4]))

    @property
    def local(self) -> bool:
        """Whether a program on that host has sent it, by no network."""
        words = self.protocol.lower()
        return bool(self.note) or "from userid" in self.software or words == "local" or not (self.helo or words)

    @property
    def utf8(self) -> bool:
        return self.protocol.upper().startswith("UTF8")


@define
class _Clause:
    words: list[str] = Factory(list)
    comments: list[str] = Factory(list)

    @property
    def text(self) -> str:
        return " ".join(self.words)


class _Unreadable(ValueError):
    """Nobody can tell which words belong together."""


def stamp(value: str) -> Stamp:
    """``value`` is what stands behind the colon, on one line."""
    try:
        tokens = list(_tokens(value))
        ends = [place for place, (kind, _) in enumerate(tokens) if kind == ";"]
        end = ends[-1] if ends else len(tokens)
        clauses = _clauses(tokens[:end])
    except _Unreadable:
        return Stamp(value)
    date = " ".join(text for kind, text in tokens[end + 1 :] if kind == "word")
    return _understood(value, clauses, date)


# ---- Words and comments


def _tokens(value: str) -> Iterator[tuple[str, str]]:
    """Kind (``word``, ``(``, ``;``) and text of each."""
    place = 0
    while place < len(value):
        char = value[place]
        if char == "(":
            end = _after_comment(value, place)
            yield "(", _SPACE.sub(" ", value[place + 1 : end - 1]).strip()
            place = end
        elif word := _WORD.match(value, place):
            yield "word", word[0]
            place = word.end()
        elif char == ")":
            raise _Unreadable
        else:
            place += 1
            if char == ";":
                yield ";", char


def _after_comment(value: str, place: int) -> int:
    """Comments can be nested, as deep as anybody likes."""
    depth = 0
    for bracket in _BRACKET.finditer(value, place):
        depth += 1 if bracket[0] == "(" else -1
        if depth == 0:
            return bracket.end()
    raise _Unreadable


def _clauses(tokens: Sequence[tuple[str, str]]) -> dict[str, _Clause]:
    """By name; ``""`` is what stands before the first one. A clause that is there twice is none that anybody should
    believe: a client may have said one of them in its HELO."""
    found = {"": _Clause()}
    name = ""
    for kind, text in tokens:
        clause, word = found[name], text.lower()
        if kind == "(":
            clause.comments.append(text)
        elif word not in CLAUSES or (name == "from" and not clause.words and not clause.comments):
            clause.words.append(text)  # a client may call itself "by"
        elif word in found:
            raise _Unreadable
        else:
            name = word
            found[name] = _Clause()
    return found


# ---- What they mean


def _understood(value: str, clauses: Mapping[str, _Clause], date: str) -> Stamp:
    empty = _Clause()
    start, came, by, protocol = (clauses.get(name, empty) for name in ("", "from", "by", "with"))
    comments = [comment for clause in clauses.values() for comment in clause.comments]
    client = _client(came, exim=any(comment.startswith("Exim ") for comment in comments))
    login = next((found[1] for found in map(_LOGIN.search, comments) if found), client.get("login", ""))
    own = [*by.comments, *(comment for comment in comments if comment.startswith("Exim "))]
    stands = start.comments[0] if start.comments and not came.words else ""
    return Stamp(
        raw=value,
        readable=not start.words and bool(by.words or came.words or stands),
        helo=client.get("helo", ""),
        name=client.get("name", ""),
        address=client.get("address", ""),
        by=_unbracketed(by.text),
        software=next((comment for comment in own if not _is_address(comment.strip("[]"))), ""),
        protocol=protocol.text,
        via=clauses.get("via", empty).text,
        id=_unbracketed(clauses.get("id", empty).text),
        to=_unbracketed(clauses.get("for", empty).text),
        login=login.strip("()"),
        note=stands,
        tls=tls(comments, clauses.get("tls", empty).text),
        date=date,
        time=unix_time(date),
    )


def _client(clause: _Clause, exim: bool) -> dict[str, str]:
    """helo, name, address and login. Most servers put the client's own name first and what they know in a comment; Exim
    and qmail put what they know first, and the client's own name, where it is another one, in a comment."""
    said, facts = clause.text, dict[str, str]()
    for comment in clause.comments:
        for fact, text in _in_comment(comment).items():
            facts.setdefault(fact, text)
    own = _literal(said)
    if own and "address" not in facts:
        facts["address"] = own
    if "helo" not in facts:
        facts["helo"] = said if not (exim and own) else ""
    if "address" in facts and (exim or facts["helo"] != said):
        facts.setdefault("name", said if not own and said not in _NO_NAMES else "")
    return facts


def _in_comment(comment: str) -> dict[str, str]:
    """What one comment tells of the client."""
    facts = {}
    if hello := _HELLO.search(comment):
        # Taken out first: it may look like an address, and only the server's word counts.
        facts["helo"] = hello[1].strip("()")
        comment = f"{comment[: hello.start()]}{comment[hello.end() :]}".strip()
    if literal := next((found for found in _LITERAL.finditer(comment) if _is_address(found[1])), None):
        facts["address"] = _plain(literal[1])
        words = comment[: literal.start()].split()
        if words and words[-1].lower() not in _NO_NAMES and "=" not in words[-1]:
            facts["name"] = words[-1].rstrip(".")
    elif (bare := _BARE.match(comment)) and _is_address(bare[2]):
        facts["address"] = _plain(bare[2])
        if bare[1]:
            facts["login"] = bare[1]
    return facts


def _literal(text: str) -> str:
    found = _LITERAL.match(text)
    return _plain(found[1]) if found and _is_address(found[1]) else ""


def _is_address(text: str) -> bool:
    try:
        ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def _plain(address: str) -> str:
    return str(unmapped(address))


def _unbracketed(text: str) -> str:
    return text[1:-1] if text.startswith("<") and text.endswith(">") else text
