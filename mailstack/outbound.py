"""The way out, put together: the spool, the queue, and the ways from there to a mailbox or to another server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache, partial
from random import Random
from time import time
from typing import Any

from attrs import frozen
from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime

from mailstack.config.settings import Settings
from mailstack.delivery.dns import DnsResolver
from mailstack.delivery.forwarding import Forwarding
from mailstack.delivery.ip import Here
from mailstack.delivery.line import Line
from mailstack.delivery.local import LocalDelivery
from mailstack.delivery.remote import RemoteDelivery
from mailstack.delivery.route import destination
from mailstack.durable import SYNCS, Syncs
from mailstack.eager import Burst
from mailstack.interfaces.accounts import IDirectory
from mailstack.interfaces.alarms import IAlarms
from mailstack.interfaces.delivery import IResolver, ITransport
from mailstack.interfaces.log import IEventLog
from mailstack.interfaces.spool import ISpool
from mailstack.interfaces.waiting import ILine
from mailstack.maildir.message_ids import MessageIds
from mailstack.maildir.sent import SentFolders
from mailstack.message.voice import Voice
from mailstack.model.letter import Letter
from mailstack.place import Place, folder
from mailstack.queue.damage import DamageNotices
from mailstack.queue.dispatch import Dispatcher
from mailstack.queue.looks import Looks
from mailstack.queue.mailer import Mailer
from mailstack.queue.notices import Notices
from mailstack.queue.own_mail import OwnMail
from mailstack.queue.places import Places
from mailstack.queue.report import Reporter
from mailstack.queue.schedule import Schedule
from mailstack.queue.sent import SentCopies
from mailstack.queue.transports import REMEMBERED, TermsByDomain, Transports
from mailstack.queue.verdict import Verdict
from mailstack.queue.waiting import WaitingMail
from mailstack.queue.wording import Voices
from mailstack.spool.disk import DiskSpool

Run = Callable[..., Awaitable[Any]]  #: calls a function in a thread
LOOKS = Looks()


@frozen
class Pools:
    """Threads for what blocks."""

    disk: Run  #: one call at a time, in order
    files: Run  #: likewise
    mailboxes: Run
    lookups: Run  #: in DNS


def dispatcher(
    settings: Settings,
    spool: ISpool,
    local: ITransport,
    remote: ITransport,
    destination: Callable[[str], str],
    mailer: Mailer,
    voice: Callable[[], Voice],
    log: IEventLog,
    clock: IReactorTime,
    now: Callable[[], float],
    rng: Random,
    slow: int,
    looks: Looks = LOOKS,
) -> Dispatcher:
    """The queue at work, also where it is only simulated. ``slow``: the most attempts that may take their time."""
    terms, postmaster = TermsByDomain(settings), settings.server.postmaster
    return Dispatcher(
        spool,
        Transports(local, remote, destination, terms.of),
        Verdict(terms.of, log, now, rng),
        Places(settings.queue.concurrency, slow),
        Reporter(spool, mailer, Schedule(settings.queue), terms.until, voice, postmaster, log, now, clock),
        terms.longest,
        log,
        clock,
        now,
        looks,
    )


class Outbound:
    """``services`` are to be started and stopped with the server, ``voices`` to be loaded before."""

    def __init__(
        self,
        settings: Settings,
        directory: IDirectory,
        pools: Pools,
        reactor: Any,  # as in MailServer
        log: IEventLog,
        new_id: Callable[[], str],
        rng: Random,
        here: Here,
        slow: int,
        alarms: IAlarms,
        least: float,
        *,
        now: Callable[[], float] = time,
        resolver: IResolver | None = None,
        syncs: Syncs = SYNCS,
        looks: Looks = LOOKS,
    ) -> None:
        """``least``: octets of room below which no new mail is taken. ``now`` is Unix time. ``resolver``: None for that
        of [dns]."""
        self._directory = directory
        self._log = log
        self._header_size = settings.limits.header_size
        hostname, data = settings.server.hostname, settings.server.data
        where = lru_cache(REMEMBERED)(partial(destination, settings))
        threads = (pools.disk, pools.files)
        self.spool = DiskSpool(data, settings.spool.sync, *threads, reactor, log, where, alarms, least, syncs)
        self.voices = Voices(settings.server.language, settings.server.templates, log)
        mailer = Mailer(hostname, directory, self.spool, new_id)
        self.mail = Place(data / "mail", identity=folder)
        rest = (self.spool, self.spool, pools.mailboxes, log, self.mail.verify, alarms)
        local = LocalDelivery(data / "mail", hostname, directory, *rest)
        resolver = resolver or DnsResolver(pools.lookups, settings.dns.servers)
        burst = Burst(reactor)
        remote = RemoteDelivery(reactor, settings, resolver, self.spool, log, rng, here=here, burst=burst)
        onward = self._forwarding(remote)
        self.queue = dispatcher(
            settings, self.spool, local, onward, where, mailer, self._voice, log, reactor, now, rng, slow, looks
        )
        self.spool.on_leisure = self.queue.meanwhile
        message_ids = MessageIds(data / "state" / "sent.db")
        folders = SentFolders(
            data / "mail", hostname, self.spool.path, directory.mailbox, message_ids, self.mail.verify
        )
        lifetime = settings.queue.lifetime
        self._sent = SentCopies(
            self.spool, folders, self.spool, pools.mailboxes, lifetime, log, reactor, now, looks.sent
        )
        self.services: Sequence[Service] = (remote.pool, self.queue, self._sent)
        postmaster = settings.server.postmaster
        self.notices = Notices(mailer, self.spool, postmaster, self._voice, log, now, self.queue.wake)
        self.damage = DamageNotices(self.notices.send, hostname, postmaster, reactor, now)
        self.spool.custody.on_damage = self.damage.add
        line = partial(Line, reactor, hostname, self.spool, log)
        self.own_mail = OwnMail(self.spool, self.queue.recall, now)
        self.waiting = WaitingMail(self.spool, self.queue.run, self._out_of_turn, line, log, reactor.seconds)

    def wake(self, letter: Letter) -> None:
        """A letter that has just become ours."""
        self.queue.wake(letter)
        if letter.sent_by is not None:
            self._sent.wake(letter)

    def _voice(self) -> Voice:
        return self.voices.voice

    def _forwarding(self, onward: ITransport) -> Forwarding:
        return Forwarding(onward, self._directory, self.spool, self._header_size, self._log)

    async def _out_of_turn(self, id: str, domains: Sequence[str], line: ILine) -> None:
        await self.queue.out_of_turn(id, domains, self._forwarding(line))
