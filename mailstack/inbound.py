"""The ways in, put together: the ports, and who answers there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from time import time
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.protocols.tls import TLSMemoryBIOFactory

from mailstack.accounts.directory import Directory
from mailstack.accounts.login import Login
from mailstack.config.settings import Settings
from mailstack.intake.free_space import FreeSpace
from mailstack.intake.masquerade import SourceWatch
from mailstack.intake.rate import SendingRates
from mailstack.intake.reception import Reception
from mailstack.intake.relay import RelayRule
from mailstack.intake.surroundings import Surroundings, unheard
from mailstack.interfaces.log import IEventLog, ILimitCounts
from mailstack.interfaces.sessions import ISessions
from mailstack.maildir.mailboxes import Mailboxes
from mailstack.model.address import Address
from mailstack.outbound import Outbound, Run
from mailstack.protocol.pop3_capabilities import Terms
from mailstack.server import pop3, smtp
from mailstack.server.certificates import Certificates
from mailstack.server.connections import Connections, Peer, Spare
from mailstack.server.expiry import Expiry
from mailstack.server.login_delay import LoginDelay
from mailstack.server.pop3_policy import PostOffice
from mailstack.server.ports import Port, Ports
from mailstack.server.proxied import Gate

RECEIVERS = ("smtp", "submission")


class Inbound:
    """``services`` are the ports, by name: those of ``RECEIVERS``, and pop3; and expiry, where messages expire."""

    def __init__(
        self,
        settings: Settings,
        directory: Directory,
        login: Login,
        outbound: Outbound,
        certificates: Certificates,
        sessions: ISessions,
        counts: ILimitCounts,
        mailboxes: Run,
        reactor: Any,  # as in MailServer
        log: IEventLog,
        new_id: Callable[[], str],
        *,
        spare: Spare | None = None,
        now: Callable[[], float] = time,
    ) -> None:
        """``now`` is Unix time."""
        self._now = now
        server = settings.server
        self._settings = settings
        self._directory = directory
        self._login = login
        self._outbound = outbound
        self._certificates = certificates
        self._recordings = sessions
        self._counts = counts
        self._reactor = reactor
        self._log = log
        self._new_id = new_id
        self._spare = spare
        self._gate = Gate(server.proxies, reactor, log)
        trusts = RelayRule.of(settings.relay).trusts
        self._sources = SourceWatch(trusts, (server.hostname, *server.domains), reactor.seconds, log)
        self._rates = SendingRates(settings.limits.recipients_per_hour)
        self._free_space = FreeSpace(server.data, reactor.seconds)
        boxes = Mailboxes(server.data / "mail", directory.mailbox, outbound.mail.verify)
        delay, expire = int(settings.pop3.login_delay), settings.pop3.expire
        terms = Terms(server.language, delay, expire)
        errors = settings.limits.errors
        self._office = PostOffice(login, boxes, log, mailboxes, errors, counts, terms, LoginDelay(delay))
        ports = (
            *(self._listen(name, partial(self._smtp, service=name)) for name in RECEIVERS),
            self._listen("pop3", self._pop3),
        )
        self.services: Sequence[Service] = (
            *ports,
            *(() if expire is None else [self._expiry(expire, boxes, mailboxes)]),
        )

    def _listen(self, name: str, factory: Callable[[Connections, bool], Any]) -> Ports:
        limits, server, listener = self._settings.limits, self._settings.server, self._settings.services[name]
        proxies = server.xclient if name != "pop3" else ()
        connections = Connections(limits.connections, limits.connections_per_client, self._counts, proxies, self._spare)
        ports = [Port("listen", endpoint, factory(connections, False)) for endpoint in listener.listen]
        for endpoint in listener.listen_tls:
            wrapped = TLSMemoryBIOFactory(self._certificates, False, factory(connections, True))
            ports.append(Port("listen_tls", endpoint, wrapped))
        return Ports(name, ports, connections, self._gate, self._reactor)

    # ---- SMTP

    def _smtp(self, connections: Connections, implicit_tls: bool, service: str) -> smtp.SmtpFactory:
        around = self._surroundings(service, implicit_tls)

        def receive(peer: Peer) -> Reception:
            return Reception(around, peer.address, peer.loopback)

        delay = 0.0 if around.submission else self._settings.smtp.greet_delay

        def greet_delay(peer: Peer) -> float:
            return 0.0 if not delay or around.rule.trusts(peer.address) else delay

        limits = self._settings.limits
        listening = smtp.Listening(
            receive,
            limits.command_timeout,
            limits.data_timeout,
            self._certificates if around.tls else None,
            limits.min_data_rate,
            greet_delay,
            self._recordings,
            service,
        )
        return smtp.SmtpFactory(self._reactor, connections, listening)

    def _surroundings(self, service: str, implicit_tls: bool) -> Surroundings:
        submission, out = service == "submission", self._outbound
        tls = self._settings.tls.policy.of_port(service, implicit_tls)
        return Surroundings(
            self._settings,
            self._directory,
            self._login,
            out.spool,
            self._log,
            out.wake,
            out.waiting,
            out.own_mail,
            self._new_id,
            self._now,
            submission=submission,
            tls=tls.offered,
            tls_required=tls.required,
            counts=self._counts,
            free_space=self._room,
            greeted=self._sources.greeted if self._settings.relay.networks and not submission else unheard,
            rates=self._rates,
            notify=lambda message: Deferred.fromCoroutine(out.notices.send(message)),
        )

    def _room(self) -> int:
        """OSError: the spool takes nothing, whatever room there is."""
        self._outbound.spool.admit()
        return self._free_space()

    # ---- POP3

    def _expiry(self, days: int, boxes: Mailboxes, in_thread: Run) -> Expiry:
        def accounts() -> list[Address]:
            users = self._directory.users.value()
            return [account.address for account in users.accounts.values()] if users else []

        return Expiry(days, accounts, boxes, in_thread, self._reactor, self._now, self._reactor.seconds, self._log)

    def _pop3(self, connections: Connections, implicit_tls: bool) -> pop3.Pop3Factory:
        tls = self._settings.tls.policy.of_port("pop3", implicit_tls)
        starttls = self._certificates if tls.offered else None
        listening = pop3.Listening(self._settings.limits.pop3_timeout, starttls, implicit_tls, tls.required)
        return pop3.Pop3Factory(self._reactor, connections, self._office, listening)
