"""Letters to other servers, by SMTP or LMTP: which connection takes them, and what that means for each recipient."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from random import Random
from typing import Any

from attrs import define
from twisted.internet.ssl import Certificate
from zope.interface import implementer

from mailstack.config.settings import Settings
from mailstack.delivery.connection import Connection
from mailstack.delivery.courier import Courier, label
from mailstack.delivery.hosts import Hosts
from mailstack.delivery.ip import Here
from mailstack.delivery.parcel import Parcel, outcomes, packed
from mailstack.delivery.policy import ConfiguredPolicies
from mailstack.delivery.pool import Pool, Rules, Way
from mailstack.delivery.route import FETCH, next_hop
from mailstack.delivery.tls import Contexts
from mailstack.eager import Burst
from mailstack.interfaces.delivery import Host, IResolver, ITransport, NextHop, Outcomes
from mailstack.interfaces.log import IEventLog
from mailstack.interfaces.spool import ISpool
from mailstack.model.letter import Due, Letter, Pending
from mailstack.model.outcome import Waits
from mailstack.model.reply import Reply
from mailstack.model.value import frozen
from mailstack.protocol.smtp_dialogue import Login, Patience
from mailstack.protocol.smtp_opening import LOOP_STATUS

MAX_HOSTS = 5  #: addresses tried in one attempt; Postfix's smtp_mx_address_limit is 5 too
REMEMBERED = 10_000  #: domains whose next hop is known
MAX_SEARCH = 300.0  #: seconds after which no further host is tried
WAITS = Waits(
    Reply(450, "4.4.0", "It waits to be fetched by the server of that domain (ATRN)"),
    Reply(554, "5.4.7", "It was not fetched by the server of that domain (ATRN) in the time that it may wait here"),
)
HERE = Here()


@frozen
class _Heard:
    """The other side of this connection has heard of the letter, and has said what it thinks of it."""

    connection: Connection
    setup: float  #: seconds until the connection was ready


@define
class _Search:
    """The way from host to host, until one takes the letter or says what it thinks of it."""

    started: float
    require_tls: bool
    tried: int = 0
    verdict: Reply | None = None
    relay: str = "none"
    looped: bool = False  #: the host is ourselves; nobody behind it is any better
    fussy: bool = False  #: a host was of no use for this letter, though maybe for others

    def refused(self, reply: Reply, relay: str = "none") -> None:
        """This host was of no use. Final is only what all of them say: RFC 5321 §5.1."""
        self.fussy = self.fussy or (self.require_tls and reply.permanent)
        if self.verdict is None or self.verdict.permanent or not reply.permanent:
            self.verdict, self.relay = reply, relay

    def enough(self, now: float) -> bool:
        """Count the next try. True: those hosts that nobody asked must wait for the next attempt."""
        if self.tried < MAX_HOSTS and now - self.started < MAX_SEARCH:
            self.tried += 1
            return False
        self.refused(Reply(451, "4.4.1", f"Gave up for now after {self.tried} hosts: {self.verdict}"), self.relay)
        return True


@implementer(ITransport)
class RemoteDelivery:
    """Takes letters to their destinations, one connection at a time for each letter. Those connections rest in ``pool``
    in between, which is to be stopped with the server."""

    def __init__(
        self,
        reactor: Any,  # IReactorTCP, IReactorUNIX and IReactorTime: there is no type for "all of these"
        settings: Settings,
        resolver: IResolver,
        spool: ISpool,
        log: IEventLog,
        rng: Random,
        trust: Certificate | None = None,
        patience: Patience | None = None,
        rules: Rules | None = None,
        here: Here = HERE,
        burst: Burst | None = None,
    ) -> None:
        """``trust``: the authority to believe where a certificate is asked for; None: those of the system. ``burst``:
        see :class:`Connection`."""
        self._clock = reactor
        self._next_hop = lru_cache(REMEMBERED)(partial(next_hop, settings))
        self._ways = lru_cache(REMEMBERED)(Way)
        self._hosts = Hosts(resolver, settings.server.hostname, rng, here)
        self._spool = spool
        self._log = log
        contexts = Contexts(trust, reactor.seconds)
        policies = ConfiguredPolicies()
        self._courier = Courier(
            reactor, settings.server.hostname, log, contexts, patience or Patience(), policies, burst
        )
        self.pool = Pool(reactor, rules)

    async def deliver(self, dues: Sequence[Due]) -> Sequence[Outcomes]:
        """One after the other; each has one recipient at least."""
        return [await self._deliver(due.letter, due.pending) for due in dues]

    async def _deliver(self, letter: Letter, pending: Sequence[Pending]) -> Outcomes:
        numbers = [each.number for each in pending]
        hop = self._next_hop(pending[0].recipient.address.domain)
        if hop.key == FETCH:
            return dict.fromkeys(numbers, WAITS)
        login = self._login(hop, letter.id)
        if isinstance(login, Reply):
            return outcomes(dict.fromkeys(numbers, login), unreachable=numbers)
        parcel = packed(self._spool, self._log, letter, pending)
        if isinstance(parcel, Reply):
            return outcomes(dict.fromkeys(numbers, parcel))
        # RFC 8689 §5: a report goes its way as best it can.
        way = self._way(hop, login, letter.require_tls and letter.sender is not None)
        with parcel:
            return await self._attempt(way, parcel)

    def _way(self, hop: NextHop, login: Login | None, require_tls: bool) -> Way:
        """Mostly one that is known: so the pool finds it without a comparison. Passwords are not remembered."""
        return self._ways(hop, None, require_tls) if login is None else Way(hop, login, require_tls)

    def _login(self, hop: NextHop, id: str) -> Login | Reply | None:
        """The password is read anew each time, so a new one works at once."""
        if not (hop.host and hop.username) or hop.password_file is None:
            return None
        try:
            password = hop.password_file.read_text("utf-8").partition("\n")[0].rstrip("\r")
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is not UTF-8"
            self._log.warn(id, note=f"[smarthost] password_file {hop.password_file} cannot be read: {why}")
            return Reply(451, "4.3.5", f"The password for the smarthost cannot be read: {why}")
        return Login(hop.username, password)

    async def _attempt(self, way: Way, parcel: Parcel) -> Outcomes:
        """One transaction; what came of it for one recipient at least."""
        heard = await self._reuse(way, parcel)
        if heard is None:
            search = _Search(self._clock.seconds(), way.require_tls)
            heard = await self._try_hosts(way, parcel, search)
            if heard is None:
                return self._nobody(parcel, search)
        client = heard.connection.client
        # LMTP's 250 is the delivery (RFC 2033 §1); SMTP's may be one more hop.
        action = "" if client.next_hop_reports else "delivered" if way.hop.lmtp else "relayed"
        # RFC 5321 §3.8: with 421 the server goes, whatever it was asked.
        gone = [number for number, reply in client.answers.items() if reply.code == 421]
        return outcomes(client.answers, heard.connection.relay, heard.setup, action, heard.connection.letters, gone)

    def _nobody(self, parcel: Parcel, search: _Search) -> Outcomes:
        reply = search.verdict or Reply(451, "4.4.4", "There is no host to send this to")
        numbers = parcel.envelope.recipients
        setup = self._clock.seconds() - search.started
        unreachable = () if search.fussy else numbers
        return outcomes(dict.fromkeys(numbers, reply), search.relay, setup, unreachable=unreachable)

    async def _reuse(self, way: Way, parcel: Parcel) -> _Heard | None:
        """By a connection that rests. None: there is none, or it turned out to be dead or of no use, which is no fault
        of the letter and costs it nothing; it is surely not there."""
        connection = self.pool.take(way)
        if connection is None:
            return None
        await parcel.hand_to(connection)
        if _out_of_step(connection):
            connection.quit()
            return None
        self.pool.rest(way, connection)
        if connection.client.broken is not None and not connection.client.all_sent:
            return None
        return _Heard(connection, 0.0)

    async def _try_hosts(self, way: Way, parcel: Parcel, search: _Search) -> _Heard | None:
        """By a new connection; None: see ``search``."""
        ranks = await self._hosts.names(way.hop)
        if isinstance(ranks, Reply):
            search.refused(ranks)
            return None
        for names in ranks:
            found = await self._hosts.of(way.hop, names, alone=len(ranks) == 1)
            for refusal in found.refusals:
                search.refused(refusal)
            for host in found.hosts:
                if search.enough(self._clock.seconds()):
                    return None
                heard = await self._try_host(way, parcel, host, search)
                if heard is not None or search.looped:
                    return heard
            if found.ourselves:
                return None
        return None

    async def _try_host(self, way: Way, parcel: Parcel, host: Host, search: _Search) -> _Heard | None:
        connection = await self._courier.call(parcel.id, way, host)
        if isinstance(connection, Reply):
            search.refused(connection, label(host))
            search.looped = connection.status == LOOP_STATUS
            return None
        setup = self._clock.seconds() - search.started
        await parcel.hand_to(connection)
        self.pool.rest(way, connection)
        client = connection.client
        if client.broken is not None and not client.heard_of_it:
            # It did not come to the letter, so the next host may take it.
            search.refused(client.broken, label(host))
            return None
        return _Heard(connection, setup)


def _out_of_step(connection: Connection) -> bool:
    """503 is said of the order of commands, not of the letter: to this server a session has one letter, perhaps."""
    client = connection.client
    replies = client.answers.values()
    return not client.all_sent and bool(replies) and all(reply.code == 503 for reply in replies)
