"""What twistd runs: all parts, put together. Reads like the picture in :mod:`mailstack`."""

from __future__ import annotations

import gc
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from random import Random
from time import monotonic, time
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.task import deferLater

from mailstack.accounts.directory import Directory
from mailstack.accounts.first_start import first_start, hand_over
from mailstack.accounts.login import Login
from mailstack.accounts.returns import key_file
from mailstack.accounts.secret import kept
from mailstack.config.limits import FREE_SPACE
from mailstack.config.openness import too_open
from mailstack.delivery.ip import Here
from mailstack.durable import make_folders
from mailstack.inbound import RECEIVERS, Inbound
from mailstack.log import EventLog
from mailstack.maildir.freed import one_arena
from mailstack.model.ids import Ids
from mailstack.outbound import Outbound, Pools
from mailstack.queue.places import SLOW
from mailstack.server.alarms import Alarms, english
from mailstack.server.certificates import Certificates
from mailstack.server.files import Descriptors, raise_limit
from mailstack.server.history import History, RememberingLog
from mailstack.server.limit_counts import LimitCounts
from mailstack.server.session_file import path_below
from mailstack.server.sessions import Sessions
from mailstack.server.signals import Signals
from mailstack.server.steady import steady
from mailstack.server.threads import Threads
from mailstack.server.tls import make_self_signed
from mailstack.server.turns import Turns
from mailstack.spool.place import must_be_mounted
from mailstack.startup import Options

__all__ = ["MailServer", "Options", "makeService"]

PASSWORD_THREADS = 2  # each check takes 64 MiB for a moment
MOST_LOOKUPS = 100  # threads that wait for DNS: who has a dead name server must not keep others from theirs
MAILBOX_THREADS = 4
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
        self._begin_log()
        self._rng = Random()
        self._new_id = Ids(time, self._rng.getrandbits)
        self.counts = LimitCounts(options.settings.server.data, reactor, time, self._log)
        self.alarms = Alarms(options.settings.server.data, english(), reactor, time, self._log)
        self._add(self.counts, self.alarms)
        self._threads()
        self._accounts()
        self._tls()
        self._way_out()
        self._sessions()
        self._ways_in()
        self._add(Signals([self.certificates.load, self.directory.reload, self.out.voices.load], self._log, reactor))

    def _add(self, *services: Any) -> None:
        for service in services:
            service.setServiceParent(self)

    def _begin_log(self) -> None:
        log = EventLog()
        thread, settings = Threads("history", 1, self._reactor), self._settings
        self.history = History(settings.log, settings.server.data, thread.run, self._reactor, time, log)
        self._add(self.history)
        self._log = RememberingLog(log, self.history)

    # ---- The parts

    def _threads(self) -> None:
        """One each for the database and for files: the spool's calls run one at a time, in order."""
        one_arena()
        threads = partial(Threads, reactor=self._reactor)
        self.disk = threads("disk", 1)
        self.files = threads("files", 1)
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

    def _way_out(self) -> None:
        pools = Pools(self.disk.run, self.files.run, self.boxes.run, self.lookups.run)
        chance = (self._new_id, self._rng)
        slow = min(SLOW, raise_limit() // 8)
        here = Here(self._listening_for_mail)
        least = FREE_SPACE * self._settings.limits.message_size
        told = (self.alarms, least)
        self.out = Outbound(self._settings, self.directory, pools, self._reactor, self._log, *chance, here, slow, *told)
        self._add(*self.out.services)

    def _listening_for_mail(self) -> Sequence[tuple[str, int]]:
        return [each for name in RECEIVERS for each in self.namedServices[name].addresses()]

    def _sessions(self) -> None:
        settings = self._settings
        path = path_below(settings.server.data)
        thread = Threads("sessions", 1, self._reactor)
        self.sessions = Sessions(settings.log.sessions, path, thread.run, self._reactor, time, self._log)
        self._add(self.sessions)

    def _ways_in(self) -> None:
        who = (self.directory, self.login, self.out, self.certificates, self.sessions, self.counts)
        spare = Descriptors(raise_limit(), self.alarms)
        inbound = Inbound(self._settings, *who, self.boxes.run, self._reactor, self._log, self._new_id, spare=spare)
        self._add(*inbound.services)

    # ---- Start and stop

    def privilegedStartService(self) -> None:
        """Still root, perhaps: what only root may read, make and bind."""
        self._options.clearly(self._prepare)
        self._options.clearly(lambda: MultiService.privilegedStartService(self))

    def _prepare(self) -> None:
        must_be_mounted(self._settings.server.data)
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
        self.out.voices.load()
        data = self._settings.server.data
        self.login.remember(kept(data / "state" / "secret"))
        if self._settings.accounts.srs:
            self.directory.remember(kept(key_file(data)))
        self._load_self_signed()
        self.certificates.warn_if_unreadable()
        for folder in ("mail", "state"):
            # Nobody makes them later: what is missing then is somewhere else.
            make_folders(data / folder)
        self.out.mail.remember()
        repairs = self.out.spool.start()
        for name, wrong in repairs.faults.items():
            self._log.warn(name, what=f"damaged: {wrong}; see: mailstack queue fsck")
        for id in repairs.unacknowledged:
            self._log.event(id, what="cut off by a crash before it was acknowledged: not in the queue")
        if repairs.unacknowledged or repairs.leftovers:
            counts = f"{len(repairs.unacknowledged)} messages and {repairs.leftovers} files"
            what = f"after a crash: {counts} that were never acknowledged, or are done with, are in spool/leftovers"
            self._log.event("spool", what=what)
        self.out.damage.add(repairs.faults)

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
        self.out.damage.stop()
        await self.out.spool.stop()
        self._log.event("mailstack", what="stopped")


def makeService(options: Options) -> MailServer:
    """Called by twistd."""
    from twisted.internet import reactor  # chosen by twistd --reactor, so not before now

    steady(reactor)
    return MailServer(options, reactor)
