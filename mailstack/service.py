"""What twistd runs: all parts, put together. Reads like the picture in :mod:`mailstack`."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache, partial
from random import Random
from time import monotonic, time
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.task import deferLater
from twisted.protocols.tls import TLSMemoryBIOFactory

from mailstack.accounts.directory import Directory
from mailstack.accounts.first_start import first_start, hand_over
from mailstack.accounts.login import Login
from mailstack.accounts.returns import key_file
from mailstack.accounts.secret import kept
from mailstack.config.openness import too_open
from mailstack.delivery.dns import DnsResolver
from mailstack.delivery.forwarding import Forwarding
from mailstack.delivery.ip import Here
from mailstack.delivery.line import Line
from mailstack.delivery.local import LocalDelivery
from mailstack.delivery.remote import RemoteDelivery
from mailstack.delivery.route import next_hop, route
from mailstack.intake.free_space import FreeSpace
from mailstack.intake.masquerade import SourceWatch
from mailstack.intake.rate import SendingRates
from mailstack.intake.reception import Reception
from mailstack.intake.relay import RelayRule
from mailstack.intake.surroundings import Surroundings, unheard
from mailstack.interfaces.delivery import ITransport
from mailstack.interfaces.waiting import ILine
from mailstack.log import EventLog
from mailstack.maildir.mailbox import Mailboxes
from mailstack.model.ids import Ids
from mailstack.queue.dispatch import Dispatcher
from mailstack.queue.mailer import Mailer
from mailstack.queue.notices import Notices
from mailstack.queue.places import SLOW, Places
from mailstack.queue.report import Reporter
from mailstack.queue.schedule import Schedule
from mailstack.queue.transports import LOCAL, REMEMBERED, TermsByDomain, Transports
from mailstack.queue.verdict import Verdict
from mailstack.queue.waiting import WaitingMail
from mailstack.queue.wording import Voices
from mailstack.server import pop3, smtp
from mailstack.server.certificates import Certificates
from mailstack.server.connections import Connections, Peer
from mailstack.server.files import raise_limit
from mailstack.server.limit_counts import LimitCounts
from mailstack.server.pop3_policy import PostOffice
from mailstack.server.ports import Port, Ports
from mailstack.server.proxied import Gate
from mailstack.server.session_file import path_below
from mailstack.server.sessions import Sessions
from mailstack.server.signals import Signals
from mailstack.server.threads import Threads
from mailstack.server.tls import make_self_signed
from mailstack.server.turns import Turns
from mailstack.spool.disk import DiskSpool
from mailstack.startup import Options

__all__ = ["MailServer", "Options", "makeService"]

PASSWORD_THREADS = 2  # each check takes 64 MiB for a moment
MOST_LOOKUPS = 100  # threads that wait for DNS: who has a dead name server must not keep others from theirs
MAILBOX_THREADS = 4
RECEIVERS = ("smtp", "submission")
STOPPED_FIRST = (*RECEIVERS, "pop3", "signals")  # what the others serve
GC_THRESHOLD = 10_000  # new objects; Python's 700 looks for cycles twice a letter


class MailServer(MultiService):
    """The whole server: a tree of named services."""

    def __init__(self, options: Options, reactor: Any) -> None:
        """``reactor`` has all of Twisted's reactor interfaces, for which there is no one type."""
        MultiService.__init__(self)
        self.name = "mailstack"
        self._options = options
        self._settings = options.settings
        self._reactor = reactor
        self._log = EventLog()
        self.counts = LimitCounts(options.settings.server.data, reactor, time, self._log)
        self._add(self.counts)
        self._threads()
        self._accounts()
        self._tls()
        self._spool_and_queue()
        self._gate = Gate(self._settings.server.proxies, reactor, self._log)
        self._sessions()
        self._receivers()
        self._pop3()
        self._add(Signals([self.certificates.load, self.directory.reload, self.voices.load], self._log, reactor))

    def _add(self, service: Any) -> None:
        service.setServiceParent(self)

    # ---- The parts

    def _threads(self) -> None:
        """One for the disk: the spool's calls run one at a time, in order."""
        threads = partial(Threads, reactor=self._reactor)
        self.disk = threads("disk", 1)
        self.passwords = threads("passwords", PASSWORD_THREADS)
        self.lookups = threads("lookups", min(self._settings.queue.concurrency, MOST_LOOKUPS))
        self.boxes = threads("mailboxes", MAILBOX_THREADS)

    def _accounts(self) -> None:
        self.directory = Directory(self._settings, monotonic, time, self._log)
        users = self.directory.users.value
        pause = partial(deferLater, self._reactor)
        turns = Turns(self.passwords.run, PASSWORD_THREADS)
        self.login = Login(self._settings, users, monotonic, turns.run, pause, self._log, self.counts)

    def _tls(self) -> None:
        pairs = self._settings.tls.pairs
        self._self_signed = not pairs
        self.certificates = Certificates(pairs or (self._settings.self_signed,), self._log, monotonic, time)

    def _spool_and_queue(self) -> None:
        settings, log = self._settings, self._log
        hostname, data = settings.server.hostname, settings.server.data
        rng = Random()
        self.new_id = Ids(time, rng.getrandbits)
        destination = lru_cache(REMEMBERED)(self._destination)
        self.spool = DiskSpool(data, settings.spool.sync, self.disk.run, self._reactor, log, destination)
        local = LocalDelivery(data / "mail", hostname, self.directory, self.spool, self.spool, self.boxes.run, log)
        resolver = DnsResolver(self.lookups.run, settings.dns.servers)
        here = Here(self._listening_for_mail)
        remote = RemoteDelivery(self._reactor, settings, resolver, self.spool, log, rng, here=here)
        self._add(remote.pool)
        terms = TermsByDomain(settings.queue, settings.routes, route, self.directory.is_local)
        transports = Transports(local, self._forwarding(remote), destination, terms.of)
        schedule = Schedule(settings.queue)
        places = Places(settings.queue.concurrency, slow=min(SLOW, raise_limit() // 2))
        mailer = Mailer(hostname, self.directory, self.spool, self.new_id)
        postmaster = settings.server.postmaster
        self.voices = Voices(settings.server.language, settings.server.templates, log)
        voice = partial(getattr, self.voices, "voice")
        reporter = Reporter(self.spool, mailer, schedule, terms.until, voice, postmaster, log, time, self._reactor)
        verdict = Verdict(terms.of, log, time, rng)
        when = (terms.longest, log, self._reactor, time)
        self.queue = Dispatcher(self.spool, transports, verdict, places, reporter, *when)
        self._add(self.queue)
        self.notices = Notices(mailer, self.spool, postmaster, voice, log, time, self.queue.wake)
        line = partial(Line, self._reactor, hostname, self.spool, log)
        self.waiting = WaitingMail(self.spool, self.queue.run, self._out_of_turn, line, log, monotonic)

    def _forwarding(self, onward: ITransport) -> Forwarding:
        return Forwarding(onward, self.directory, self.spool, self._settings.limits.header_size, self._log)

    async def _out_of_turn(self, id: str, domains: Sequence[str], line: ILine) -> None:
        await self.queue.out_of_turn(id, domains, self._forwarding(line))

    def _destination(self, domain: str) -> str:
        return LOCAL if self.directory.is_local(domain) else next_hop(self._settings, domain).key

    def _listening_for_mail(self) -> Sequence[tuple[str, int]]:
        return [each for name in RECEIVERS for each in self.namedServices[name].addresses()]

    def _sessions(self) -> None:
        settings = self._settings
        path = path_below(settings.server.data)
        thread = Threads("sessions", 1, self._reactor)
        self.sessions = Sessions(settings.log.sessions, path, thread.run, self._reactor, time, self._log)
        self._add(self.sessions)

    def _receivers(self) -> None:
        server, rule = self._settings.server, RelayRule.of(self._settings.relay)
        self._sources = SourceWatch(rule.trusts, (server.hostname, *server.domains), monotonic, self._log)
        self._rates = SendingRates(self._settings.limits.recipients_per_hour)
        self.free_space = FreeSpace(self._settings.server.data, monotonic)
        for name in RECEIVERS:
            self._listen(name, partial(self._smtp, service=name))

    def _smtp(self, connections: Connections, implicit_tls: bool, service: str) -> smtp.SmtpFactory:
        submission = service == "submission"
        tls = self._settings.tls.policy.of_port(service, implicit_tls)
        around = Surroundings(
            self._settings,
            self.directory,
            self.login,
            self.spool,
            self._log,
            self.queue.wake,
            self.waiting,
            self.new_id,
            time,
            submission=submission,
            tls=tls.offered,
            tls_required=tls.required,
            counts=self.counts,
            free_space=self.free_space,
            greeted=self._sources.greeted if self._settings.relay.networks and not submission else unheard,
            rates=self._rates,
            notify=lambda message: Deferred.fromCoroutine(self.notices.send(message)),
        )

        def receive(peer: Peer) -> Reception:
            return Reception(around, peer.address, peer.loopback)

        delay = 0.0 if submission else self._settings.smtp.greet_delay

        def greet_delay(peer: Peer) -> float:
            return 0.0 if not delay or around.rule.trusts(peer.address) else delay

        limits = self._settings.limits
        listening = smtp.Listening(
            receive,
            limits.command_timeout,
            limits.data_timeout,
            self.certificates if tls.offered else None,
            limits.min_data_rate,
            greet_delay,
            self.sessions,
            service,
        )
        return smtp.SmtpFactory(self._reactor, connections, listening)

    def _pop3(self) -> None:
        mailboxes = Mailboxes(self._settings.server.data / "mail", self.directory.mailbox)
        limits = self._settings.limits
        office = PostOffice(self.login, mailboxes, self._log, self.boxes.run, limits.errors, self.counts)

        def factory(connections: Connections, implicit_tls: bool) -> pop3.Pop3Factory:
            tls = self._settings.tls.policy.of_port("pop3", implicit_tls)
            starttls = self.certificates if tls.offered else None
            listening = pop3.Listening(limits.pop3_timeout, starttls, implicit_tls, tls.required)
            return pop3.Pop3Factory(self._reactor, connections, office, listening)

        self._listen("pop3", factory)

    def _listen(self, name: str, factory: Callable[[Connections, bool], Any]) -> None:
        limits, server, listener = self._settings.limits, self._settings.server, self._settings.services[name]
        proxies = server.xclient if name != "pop3" else ()
        connections = Connections(limits.connections, limits.connections_per_client, self.counts, proxies)
        ports = [Port("listen", endpoint, factory(connections, False)) for endpoint in listener.listen]
        for endpoint in listener.listen_tls:
            wrapped = TLSMemoryBIOFactory(self.certificates, False, factory(connections, True))
            ports.append(Port("listen_tls", endpoint, wrapped))
        self._add(Ports(name, ports, connections, self._gate, self._reactor))

    # ---- Start and stop

    def privilegedStartService(self) -> None:
        """Still root, perhaps: what only root may read, make and bind."""
        self._options.clearly(self._prepare)
        self._options.clearly(lambda: MultiService.privilegedStartService(self))

    def _prepare(self) -> None:
        if not self._self_signed:
            self.certificates.load()
        hand_over(self._settings, self._options.owner)
        os.umask(0o077)

    def startService(self) -> None:
        self._options.clearly(self._open)
        self._warn_of_an_open_relay()
        MultiService.startService(self)
        self._log.event("mailstack", what=f"ready: {self._summary()}")
        # What stands now stays: the collector need not look at it again, nor look as often.
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD, 20, 20)

    def _open(self) -> None:
        first_start(self._settings)
        self.voices.load()
        data = self._settings.server.data
        self.login.remember(kept(data / "state" / "secret"))
        if self._settings.accounts.srs:
            self.directory.remember(kept(key_file(data)))
        self._load_self_signed()
        self.certificates.warn_if_unreadable()
        repairs = self.spool.start()
        for id in repairs.quarantined:
            self._log.warn(id, what="its file is missing in the spool: on hold")
        if repairs.unacknowledged or repairs.orphans:
            counts = f"{len(repairs.unacknowledged)} messages and {repairs.orphans} files"
            self._log.event("spool", what=f"after a crash: removed {counts} that were never acknowledged")

    def _warn_of_an_open_relay(self) -> None:
        reason = too_open(self._settings.relay.networks)
        if reason:
            note = "spammers will find it, and others will refuse our mail; [relay] i_accept_an_open_relay allows it"
            self._log.warn("relay", what=f"this is an open relay: {reason};", note=note)

    def _load_self_signed(self) -> None:
        if not self._self_signed:
            return
        certificate, key = self._settings.self_signed
        if not certificate.exists():
            server = self._settings.server
            names = list(dict.fromkeys([server.hostname, *server.domains]))
            make_self_signed(certificate, key, names, datetime.now(UTC))
            made = f"made a self-signed certificate in {certificate.parent}: clients will ask about it"
            self._log.event("tls", what=made)
        self.certificates.load()

    def _summary(self) -> str:
        listening = {name: each.listen + each.listen_tls for name, each in self._settings.services.items()}
        parts = [f"{name} on {', '.join(ports)}" for name, ports in listening.items() if ports]
        return f"{'; '.join(parts)}; domains {', '.join(self._settings.server.domains)}"

    def stopService(self) -> Deferred[None]:
        """Sessions first, then the queue, then the disk: nobody loses the one that it stands on."""
        self.running = False
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        first = [self.namedServices[name] for name in STOPPED_FIRST]
        for services in (first, [service for service in self if service not in first]):
            await gatherResults([maybeDeferred(service.stopService) for service in services])
        await self.spool.stop()
        self._log.event("mailstack", what="stopped")


def makeService(options: Options) -> MailServer:
    """Called by twistd."""
    from twisted.internet import reactor  # chosen by twistd --reactor, so not before now

    return MailServer(options, reactor)
