"""Answers one POP3 client: who gets in, to which mailbox, and what is removed when."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, ParamSpec, Protocol, TypeVar

from attrs import Factory, evolve, frozen

from mailstack.interfaces.accounts import Bindings, IAuthenticator, Identity, no_bindings
from mailstack.interfaces.log import IEventLog, ILimitCounts
from mailstack.interfaces.mailboxes import IMailboxes, MailboxInUse
from mailstack.model.address import short_name
from mailstack.model.reply import Reply
from mailstack.protocol.pop3 import TLS_HELLO
from mailstack.protocol.pop3_capabilities import Terms
from mailstack.protocol.pop3_events import (
    Auth,
    Event,
    Login,
    Quit,
    Response,
    Settled,
    StartTls,
    Top,
    Utf8,
    err,
    ok,
    refusal,
)
from mailstack.protocol.sasl_steps import Agreed, Lookup, Proof
from mailstack.server.conventional import conventional
from mailstack.server.fetched import AT_ONCE, batched, letter_lines, said
from mailstack.server.login_delay import LoginDelay
from mailstack.server.maildrop import GONE, Maildrop

P = ParamSpec("P")
T = TypeVar("T")
Later = Coroutine[Any, Any, None]  # Any: as Deferred.fromCoroutine has it

IN_USE = err("in-use", "IN-USE")
OUR_FAULT = err("our-fault", "SYS/TEMP")
NO_FOLDER = err("no-folder", "SYS/PERM")
NO_MAILBOX = err("no-mailbox", "SYS/TEMP")
UNREADABLE = err("unreadable", "SYS/TEMP")
PLAIN_PORT = "TLS handshake on a port that begins in plain (set the program to STLS, or to the port for SSL/TLS)"
#: What would end the name in a line of the log, or begin another field: rip=192.0.2.1 must not be somebody's name, or
#: fail2ban shuts out whom a guesser chooses.
_UNSAID = str.maketrans(dict.fromkeys("<>=", "?"))
NOT_REMOVED = err("not-removed", "SYS/TEMP")
LOOKS = 2  # for a letter that has another name: it may get one more while it is looked for


class InThread(Protocol):
    """Runs what blocks outside of the reactor."""

    def __call__(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]: ...


@frozen
class PostOffice:
    """What every session shares."""

    authenticator: IAuthenticator
    mailboxes: IMailboxes
    log: IEventLog
    in_thread: InThread
    errors: int  #: bad commands and failed log-ins before the client is sent away
    counts: ILimitCounts
    terms: Terms = Factory(Terms)
    delay: LoginDelay = Factory(LoginDelay)  #: enforces ``terms.login_delay``


class Pop3Policy:
    """One connection. ``client`` is an IP address, "" for a UNIX socket."""

    def __init__(self, office: PostOffice, client: str) -> None:
        self.tls: str | None = None  #: version and cipher, when TLS is up
        self.bindings: Bindings = no_bindings  #: of the TLS channel
        self.ending = "Connection closed"  #: why the session ends, for the log
        self._office = office
        self._log = office.log
        self._client = client
        self._mechanism = "PLAIN"
        self._proven: Identity | None = None
        self._user: Identity | None = None  #: who, and in which folder
        self._maildrop: Maildrop | None = None
        self._utf8 = False
        self._deleted = 0
        self._said: dict[type, None] = {}  #: kinds of commands, in the order in which they were first used
        self._topped: set[int] = set()
        self._noted = False
        self._errors = 0

    def decide(self, event: Event) -> Response | Awaitable[Response]:
        """The answer to one event, at once if it can be had without waiting. Never raises."""
        self._said[type(event)] = None
        if isinstance(event, Login | Proof | Agreed | Quit):
            return self._decide_later(event)
        try:
            response = self._decide(event)
            return self._counted(event, response) if isinstance(response, Response) else response
        except Exception as error:
            return self._failed(event, error)

    async def _decide_later(self, event: Login | Proof | Agreed | Quit) -> Response:
        try:
            if isinstance(event, Quit):
                return await self._quit()
            return self._counted(event, await self._come_in(event))
        except Exception as error:
            return self._failed(event, error)

    def _failed(self, event: Event, error: Exception) -> Response:
        if isinstance(error, OSError):
            self._trouble(error)
        else:
            self._log.failure("pop3", f"{event}: {error!r}")
        return OUR_FAULT

    def _decide(self, event: Event) -> Response | Awaitable[Response]:
        if isinstance(event, Settled):
            if event.response is TLS_HELLO:
                self._log.event("pop3-login", what=f"{PLAIN_PORT},", rip=self._client or "local")
            return event.response
        if isinstance(event, StartTls):
            return ok("begin-tls")
        if isinstance(event, Auth):
            self._mechanism = event.mechanism
            return ok()
        if isinstance(event, Utf8):
            self._utf8 = True
            return ok("utf8")
        if isinstance(event, Lookup):
            refusal = self._office.authenticator.look_up(event, self.bindings, self._client)
            return ok() if refusal is None else self._not_known(event.name, refusal)
        assert self._maildrop is not None, "the protocol has the log-in before"
        try:
            return self._answer(event, self._maildrop)
        except FileNotFoundError:
            return self._look_again(event, self._maildrop)
        except OSError as error:
            self._trouble(error)
            return UNREADABLE

    def _answer(self, event: Event, drop: Maildrop) -> Response:
        response = drop.answer(event)
        if isinstance(event, Top) and response.positive:
            self._topped.add(event.number - 1)
        return response

    async def _look_again(self, event: Event, drop: Maildrop) -> Response:
        """Another program has moved the letter, or removed it: that takes a look at the whole mailbox."""
        for _ in range(LOOKS):
            try:
                await self._office.in_thread(drop.mailbox.look_again)
                return self._answer(event, drop)
            except FileNotFoundError:
                continue
            except OSError as error:
                self._trouble(error)
                return UNREADABLE
            except Exception as error:
                return self._failed(event, error)
        return GONE

    def _counted(self, event: Event, response: Response) -> Response:
        if response.positive or not isinstance(event, Settled | Login | Lookup | Proof | Agreed):
            return response
        self._errors += 1
        if self._errors < self._office.errors:
            return response
        self.ending = "Too many errors"
        self._office.counts.struck("errors", self._client)
        return evolve(response, last=True)

    # ---- Coming and going

    def mechanisms(self) -> Sequence[str]:
        return self._office.authenticator.mechanisms(self.bindings)

    def terms(self) -> Terms:
        """Only inboxes are looked after, not folders."""
        terms = self._office.terms
        return evolve(terms, expire=None) if self._user is not None and self._user.folder else terms

    async def _come_in(self, event: Login | Proof | Agreed) -> Response:
        if isinstance(event, Agreed):
            assert self._proven is not None, "the protocol has no end of SCRAM before a proof that was taken"
            return await self._open(self._proven)
        authenticator = self._office.authenticator
        if isinstance(event, Proof):
            proven = await authenticator.prove(event, self._client)
            if isinstance(proven, Reply):
                return self._not_known(event.name, proven)
            self._proven = proven
            return ok()
        self._mechanism = event.mechanism
        answer = await authenticator.login(event.name, event.password, self._client, event.authzid)
        return self._not_known(event.name, answer) if isinstance(answer, Reply) else await self._open(answer)

    def _not_known(self, name: str, reply: Reply) -> Response:
        # RFC 3206 §4: AUTH makes the client ask for another password, SYS/TEMP makes it try again.
        return self._refused(name, refusal(reply.text.partition("\n")[0], "AUTH" if reply.permanent else "SYS/TEMP"))

    async def _open(self, user: Identity) -> Response:
        # Only now: before the password was looked at, it would tell who exists (RFC 2449 §8.1.1).
        seconds = self._office.delay.left(user.key, self._client)
        if seconds:
            self._office.counts.struck("login_delay", self._client)
            return self._refused(str(user), err("login-delay", "LOGIN-DELAY", seconds=seconds))
        try:
            mailbox = await self._office.in_thread(self._office.mailboxes.open, user.account, user.folder)
        except MailboxInUse:
            return self._refused(str(user), IN_USE)
        except OSError as error:
            if user.folder and isinstance(error, FileNotFoundError):
                return self._refused(str(user), NO_FOLDER)
            self._trouble(error)
            return self._refused(str(user), NO_MAILBOX)
        self._user, self._maildrop = user, Maildrop(mailbox if self._utf8 else conventional(mailbox))
        self._office.delay.begin(user.key, self._client)
        self._log.event("pop3-login", what="Login:", **self._facts(str(user)))
        return ok("logged-in")

    def _refused(self, name: str, response: Response) -> Response:
        # Only the first is a reason for fail2ban: the others happen to honest people.
        what = "Login failed:" if response.code == "AUTH" else "Login put off:"
        self._log.event("pop3-login", what=what, **self._facts(name), reply=response.line().decode().strip())
        return response

    def _facts(self, name: str) -> dict[str, object]:
        return {
            "user": f"<{short_name(name).translate(_UNSAID)}>",
            "method": self._mechanism,
            "rip": self._client or "local",
            "tls": self.tls,
        }

    async def _quit(self) -> Response:
        """The UPDATE state, RFC 1939 §6: here, and nowhere else, messages are removed."""
        self.ending = "Logged out"
        drop = self._maildrop
        if drop is None:
            return ok("good-bye")
        marked = drop.marked
        left = await self._office.in_thread(drop.mailbox.delete, marked) if marked else ()
        self._deleted = len(marked) - len(left)
        noting = self._note_letters(drop, sorted({*marked}.difference(left)))
        if noting is not None:
            await noting
        # The next session may come in before the client has read the answer.
        drop.close()
        if left:
            self._log.warn("pop3", user=f"<{self._user}>", note=f"{len(left)} messages could not be removed")
            return NOT_REMOVED
        return ok("good-bye")

    def closed(self) -> Later | None:
        """The connection is gone: nothing is removed now, and the next session may come in. None: all is said."""
        drop = self._maildrop
        if drop is None:
            return None
        noting = self._note_letters(drop, ())
        drop.close()
        # Dovecot's pop3_logout_format, so that its line is found in ours.
        self._log.event(
            "pop3",
            what=f"Disconnected: {self.ending}",
            top=drop.topped,
            retr=drop.retrieved,
            del_=f"{self._deleted}/{drop.count}",
            size=drop.size,
            user=f"<{self._user}>",
            **self._where(),
        )
        return noting

    def _where(self) -> dict[str, object]:
        return {"rip": self._client or "local", "tls": self.tls}

    def _note_letters(self, drop: Maildrop, removed: Sequence[int]) -> Later | None:
        """Once a session: at QUIT, when it is sure what was removed, or when the connection is gone. None: done."""
        if self._noted or self._user is None:
            return None
        self._noted = True
        topped = sorted(self._topped - drop.fetched)
        whats = (("Topped:", topped), ("Fetched:", sorted(drop.fetched)), ("Deleted:", removed))
        parts = [(what, part) for what, indexes in whats for part in batched(indexes)]
        if sum(len(part) for _, part in parts) > AT_ONCE:
            return self._note_parts(drop, parts)
        for what, part in parts:
            self._note_lines(what, letter_lines(drop.mailbox, part))
        return None

    async def _note_parts(self, drop: Maildrop, parts: Sequence[tuple[str, Sequence[int]]]) -> None:
        """100,000 letters would hold up everybody for a third of a second."""
        try:
            for what, part in parts:
                lines = await self._office.in_thread(letter_lines, drop.mailbox, part)
                self._note_lines(what, lines)
        except Exception as error:
            self._log.failure("pop3", f"the letters of a session: {error!r}")

    def _note_lines(self, what: str, lines: Iterable[dict[str, object]]) -> None:
        assert self._user is not None, "who was not in has seen no letter"
        whose = {"user": f"<{self._user.account}>", "folder": self._user.folder or None}
        for letters in lines:
            self._log.detail("pop3", what=what, **whose, **self._where(), said=said(self._said), **letters)

    def broke_off(self, error: OSError) -> None:
        """A letter could not be read to its end while it was sent."""
        self.ending = "Message could not be read to its end"
        self._trouble(error)

    def _trouble(self, error: OSError) -> None:
        self._log.warn("pop3", user=f"<{self._user}>" if self._user else None, note=f"{error}")
