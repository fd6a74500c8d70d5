"""Letters to other servers, by SMTP or LMTP: which host takes them, and what that means for each recipient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from random import Random
from typing import Any, BinaryIO

from attrs import define, evolve
from twisted.internet.ssl import Certificate
from zope.interface import implementer

from mailstack.config.settings import Settings
from mailstack.delivery.courier import Courier, Heard, Parcel, label, wire_pieces
from mailstack.delivery.hosts import Hosts
from mailstack.delivery.ip import Here
from mailstack.delivery.policy import ConfiguredPolicies
from mailstack.delivery.route import FETCH, next_hop
from mailstack.interfaces.delivery import IResolver, ITransport, NextHop, Outcomes
from mailstack.interfaces.log import IEventLog
from mailstack.interfaces.spool import ISpool
from mailstack.model.letter import Due, Letter, Pending
from mailstack.model.outcome import Delivered, Outcome, Waits, from_reply
from mailstack.model.reply import Reply
from mailstack.protocol.smtp_dialogue import Patience
from mailstack.protocol.smtp_opening import LOOP_STATUS
from mailstack.protocol.smtp_transaction import Envelope

MAX_HOSTS = 5  #: addresses tried in one attempt; Postfix's smtp_mx_address_limit is 5 too
MAX_SEARCH = 300.0  #: seconds after which no further host is tried
WAITS = Waits(
    Reply(450, "4.4.0", "It waits to be fetched by the server of that domain (ATRN)"),
    Reply(554, "5.4.7", "It was not fetched by the server of that domain (ATRN) in the time that it may wait here"),
)
MAX_TEXT = 1_000  #: characters of a remote reply that are kept
HERE = Here()


@define
class _Search:
    """The way from host to host, until one takes the letter or says what it thinks of it."""

    started: float
    tried: int = 0
    verdict: Reply | None = None
    relay: str = "none"

    def refused(self, reply: Reply, relay: str = "none") -> None:
        """This host was of no use. Final is only what all of them say: RFC 5321 §5.1."""
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
    """Takes a letter to one destination; one connection at a time."""

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
        here: Here = HERE,
    ) -> None:
        """``trust``: the authority to believe where a certificate is asked for; None: those of the system."""
        self._clock = reactor
        self._settings = settings
        self._hosts = Hosts(resolver, settings.server.hostname, rng, here)
        self._spool = spool
        self._log = log
        policies = ConfiguredPolicies()
        self._courier = Courier(reactor, settings.server.hostname, log, trust, patience or Patience(), policies)

    async def deliver(self, dues: Sequence[Due]) -> Sequence[Outcomes]:
        """One after the other; each has one recipient at least."""
        return [await self._deliver(due.letter, due.pending) for due in dues]

    async def _deliver(self, letter: Letter, pending: Sequence[Pending]) -> Outcomes:
        hop = next_hop(self._settings, pending[0].recipient.address.domain)
        envelope = envelope_of(letter, pending)
        if hop.key == FETCH:
            return dict.fromkeys(envelope.recipients, WAITS)
        file = open_letter(self._spool, self._log, letter)
        if isinstance(file, Reply):
            return outcomes(dict.fromkeys(envelope.recipients, file))
        found: dict[int, Outcome] = {}
        with file:
            content = partial(wire_pieces, file, letter)
            # A server that takes few recipients at a time (RFC 9422) gets the others in further sessions.
            while rest := {number: each for number, each in envelope.recipients.items() if number not in found}:
                found |= await self._search(hop, Parcel(letter.id, evolve(envelope, recipients=rest), content))
        return found

    async def _search(self, hop: NextHop, parcel: Parcel) -> dict[int, Outcome]:
        """For one recipient at least."""
        search = _Search(self._clock.seconds())
        heard = await self._try_hosts(hop, parcel, search)
        if heard is None:
            reply = search.verdict or Reply(451, "4.4.4", "There is no host to send this to")
            heard = Heard(dict.fromkeys(parcel.envelope.recipients, reply), self._clock.seconds())
        # LMTP's 250 is the delivery (RFC 2033 §1); SMTP's may be one more hop.
        action = "" if heard.reports else "delivered" if hop.lmtp else "relayed"
        return outcomes(heard.answers, search.relay, heard.ready - search.started, action)

    async def _try_hosts(self, hop: NextHop, parcel: Parcel, search: _Search) -> Heard | None:
        """What the host said that heard of the letter; None: see ``search``."""
        ranks = await self._hosts.names(hop)
        if isinstance(ranks, Reply):
            search.refused(ranks)
            return None
        for names in ranks:
            found = await self._hosts.of(hop, names, alone=len(ranks) == 1)
            for refusal in found.refusals:
                search.refused(refusal)
            for host in found.hosts:
                if search.enough(self._clock.seconds()):
                    return None
                heard = await self._courier.take(parcel, hop, host)
                if isinstance(heard, Heard):
                    search.relay = label(host)
                    return heard
                search.refused(heard, label(host))
                if heard.status == LOOP_STATUS:
                    return None
            if found.ourselves:
                return None
        return None


def envelope_of(letter: Letter, pending: Sequence[Pending]) -> Envelope:
    return Envelope(
        letter.sender,
        {one.number: one.recipient for one in pending},
        # A few octets too many: the CRs of the lines before relay_offset.
        letter.wire_size - letter.relay_offset + len(letter.opening) + letter.opening.count(b"\n"),
        letter.eight_bit,
        letter.smtputf8,
        letter.require_tls,
        letter.ret,
        letter.envid,
    )


def open_letter(spool: ISpool, log: IEventLog, letter: Letter) -> BinaryIO | Reply:
    """The stored file; a Reply when it cannot be read now."""
    try:
        return spool.open(letter.id)
    except OSError as error:
        why = error.strerror or "it is gone"
        log.warn(letter.id, note=f"the queue file cannot be read: {why}")
        return Reply(451, "4.3.0", f"The queue file cannot be read: {why}")


def outcomes(
    answers: Mapping[int, Reply], relay: str = "none", setup: float = 0.0, action: str = ""
) -> dict[int, Outcome]:
    """What a host's answers mean; ``action`` is what a positive one does (RFC 3464 §2.3.3), "" where it reports."""
    return {number: _outcome(_bounded(reply), relay, setup, action) for number, reply in answers.items()}


def _outcome(reply: Reply, relay: str, setup: float, action: str) -> Outcome:
    outcome = from_reply(reply, relay)
    if isinstance(outcome, Delivered):
        return evolve(outcome, setup=setup, action=action)
    return evolve(outcome, setup=setup)


def _bounded(reply: Reply) -> Reply:
    """With a status, and not longer than somebody wants to read."""
    text = reply.text if len(reply.text) <= MAX_TEXT else f"{reply.text[:MAX_TEXT]}..."
    return Reply(reply.code, reply.full_status, text)
