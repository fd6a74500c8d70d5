"""The beginning of a session with a server: greeting, EHLO or LHLO, STARTTLS, AUTH."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping

from attrs import frozen

from mailstack.model.reply import Reply
from mailstack.protocol.smtp_dialogue import Dialogue, Login, Patience, Say, Secure, ask, hear, refusal

#: The policies that ask for a certificate of the right name from a known authority.
VERIFIED = frozenset({"required", "implicit"})

LOOP_STATUS = "5.4.6"  #: RFC 3463 §3.5: a routing loop


@frozen
class Manner:
    """How to talk with one server."""

    hostname: str  #: our own name
    lmtp: bool = False
    tls: str = "opportunistic"  #: none, opportunistic, required, implicit
    login: Login | None = None
    trusted: bool = False  #: nobody can listen in between (loopback): a password may go without TLS
    require_tls: bool = False  #: RFC 8689: only to a server that promises to pass the promise on; ``tls`` verifies then
    stranger: bool = False  #: DNS alone has led us there: who calls itself as we do is ourselves, by some detour


class Opening:
    """``extensions`` are those of the last EHLO: keyword, in capitals, to parameters. ``verified``: TLS is up, and the
    server has shown a certificate of its name."""

    def __init__(self, manner: Manner, patience: Patience) -> None:
        self._manner = manner
        self._patience = patience
        self.extensions: dict[str, str] = {}
        self.secure = False
        self.verified = False

    def run(self) -> Dialogue[Reply | None]:
        """None: mail may be sent. Else why this server is of no use."""
        if self._manner.tls == "implicit":
            yield from self._handshake()
        greeting = yield from hear("the greeting", self._patience.greeting)
        if greeting.code != 220:
            return refusal(greeting)
        for stage in (self._hello, self._start_tls, self._require_tls, self._log_in):
            problem = yield from stage()
            if problem is not None:
                return problem
        return None

    def insecure(self, text: str) -> Reply:
        """The verdict when the handshake fails: RFC 8689 §4.2.1 says that a letter which requires TLS goes back."""
        return Reply(550, "5.7.10", text) if self._manner.require_tls else Reply(451, "4.7.5", text)

    def _handshake(self) -> Dialogue[None]:
        yield Secure(self._patience.tls)
        self.secure = True
        self.verified = self._manner.tls in VERIFIED

    def _hello(self) -> Dialogue[Reply | None]:
        verb = "LHLO" if self._manner.lmtp else "EHLO"
        reply = yield from self._greet(verb)
        # RFC 5321 §3.2: a server that does not know EHLO is an old one. RFC 2033 §4.1 has no such thing for LHLO.
        if reply.permanent and not self._manner.lmtp and not self.secure:
            reply = yield from self._greet("HELO")
            self.extensions = {}
            return None if reply.code == 250 else refusal(reply)
        if reply.code != 250:
            return refusal(reply)
        self.extensions = extensions(reply)
        name = reply.text.partition("\n")[0].partition(" ")[0].lower()
        if self._manner.stranger and name == self._manner.hostname.lower():
            return Reply(554, LOOP_STATUS, f"Mail loop: DNS has led to a server that calls itself {name}, as we do")
        return None

    def _greet(self, verb: str) -> Dialogue[Reply]:
        return (yield from ask(f"{verb} {self._manner.hostname}", verb, self._patience.hello))

    def _start_tls(self) -> Dialogue[Reply | None]:
        if self.secure or self._manner.tls == "none":
            return None
        if "STARTTLS" in self.extensions:
            reply = yield from ask("STARTTLS", "STARTTLS", self._patience.hello)
            if reply.code == 220:
                yield from self._handshake()
                # RFC 3207 §4.2: what was said before does not count.
                return (yield from self._hello())
            problem = f"STARTTLS was refused: {reply}"
        else:
            problem = "STARTTLS is not offered"
        if self._manner.require_tls:
            return Reply(550, "5.7.10", f"Encryption needed (REQUIRETLS), but {problem}")
        if self._manner.tls == "required":
            return Reply(451, "4.7.4", f"Encryption is required here, but {problem}")
        return None

    def _require_tls(self) -> Dialogue[Reply | None]:
        """Nothing is said: EHLO has told."""
        yield from ()
        return breaks_promise(self.secure, self.extensions) if self._manner.require_tls else None

    def _log_in(self) -> Dialogue[Reply | None]:
        login = self._manner.login
        if login is None:
            return None
        if not (self.secure or self._manner.trusted):
            return Reply(451, "4.7.11", "The password is not sent: the connection is not encrypted")
        mechanisms = self.extensions.get("AUTH", "").upper().split()
        if "PLAIN" in mechanisms:
            reply = yield from self._plain(login)
        elif "LOGIN" in mechanisms:
            reply = yield from self._two_prompts(login)
        else:
            return Reply(451, "4.7.4", "The server offers neither AUTH PLAIN nor AUTH LOGIN")
        if reply.code == 235:
            return None
        # A wrong password is our own mistake, which somebody will mend: no reason to return mail.
        return Reply(451, "4.7.8", f"The server does not accept our user name and password: {reply}")

    def _plain(self, login: Login) -> Dialogue[Reply]:
        command = f"AUTH PLAIN {_base64(f'{chr(0)}{login.name}{chr(0)}{login.password}')}"
        return (yield from ask(command, "AUTH", self._patience.login))

    def _two_prompts(self, login: Login) -> Dialogue[Reply]:
        reply = yield from ask("AUTH LOGIN", "AUTH", self._patience.login)
        for answer in (login.name, login.password):
            if reply.code != 334:
                return reply
            yield Say((_base64(answer),))
            reply = yield from hear("AUTH", self._patience.login)
        return reply


def breaks_promise(secure: bool, extensions: Mapping[str, str]) -> Reply | None:
    """Why a letter that requires TLS cannot go to this server; None: it can. RFC 8689 §4.2.1."""
    if not secure:
        return Reply(550, "5.7.10", "Encryption needed (REQUIRETLS)")
    if "REQUIRETLS" not in extensions:
        return Reply(550, "5.7.30", "REQUIRETLS support required, but the server does not offer it")
    return None


def extensions(reply: Reply) -> dict[str, str]:
    """The keywords of an EHLO reply: RFC 5321 §4.1.1.1. The first line is the server's name."""
    found: dict[str, str] = {}
    for line in reply.text.split("\n")[1:]:
        # Some old servers write AUTH=PLAIN.
        keyword, *parameters = re.split(r"[ =]", line.strip(), maxsplit=1)
        found.setdefault(keyword.upper(), "".join(parameters).strip())
    return found


def _base64(text: str) -> str:
    return b64encode(text.encode("utf-8")).decode("ascii")
