"""SMTP beside Postfix: mail for our Maildirs, mail that is relayed, a lone client, and users who log in."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import load
import submitting
from attrs import evolve
from ceiling import Ceiling
from dovecot import Dovecot
from figures import OURS, Row, Series
from load import Shape
from ours import Mailstack
from postfix import OWNER, USERS, Postfix, call
from setting import Setting, by_turns, free_port

Server = Mailstack | Postfix

KILOBYTES_40, MEGABYTE = 40_000, 1_000_000
MANY = [f"{number}r" for number in range(2, 21)]  # smtp-source's names for further recipients
SUBMITTERS = [f"u{number}" for number in range(101, 121)]


def into_maildir(setting: Setting, server: Server, shape: Shape) -> float:
    user = setting.mailbox()
    return load.inbound(server.port, [server.mail / "example.org" / user], f"{user}@example.org", shape)


def warm(setting: Setting) -> dict[str, Server]:
    """Both servers, after some letters each."""
    servers = setting.pair()
    for server in servers.values():
        into_maildir(setting, server, Shape(setting.amounts.warm_up))
    return servers


def inbound(setting: Setting) -> Iterator[Row]:
    servers, messages = warm(setting), setting.amounts.messages
    for sessions in (20, 100):
        for keep_open in (False, True):
            shape = Shape(messages, sessions, keep_open)
            key = f"inbound-{sessions}{'-open' * keep_open}"
            yield setting.compare(key, servers, lambda server, s=shape: into_maildir(setting, server, s))


def ceiling(setting: Setting) -> Iterator[Row]:
    """How much of what the machine leaves we use, with all that a server has to look at; and how much that is beside
    Postfix, so what the floors ask for."""
    servers, messages = warm(setting), setting.amounts.messages
    shapes = {
        "20": Shape(messages),
        "20-open": Shape(messages, keep_open=True),
        "40k": Shape(setting.amounts.part(0.5), size=KILOBYTES_40),
    }
    with Ceiling(setting.mount / "ceiling", free_port()) as least:
        load.inbound(least.port, [least.mail], "x@example.org", Shape(setting.amounts.warm_up))

        def measure(server: Server | Ceiling, shape: Shape) -> float:
            if isinstance(server, Ceiling):
                return load.inbound(server.port, [server.mail], "x@example.org", shape)
            return into_maildir(setting, server, shape)

        for key, shape in shapes.items():
            all_three = {**servers, "ceiling": least}
            found = by_turns(all_three, lambda server, s=shape: measure(server, s), setting.amounts.rounds)
            yield Row(f"ceiling-{key}", found[OURS], found["ceiling"])
            yield Row(f"least-{key}", found["ceiling"], found["postfix"])


def sizes(setting: Setting) -> Iterator[Row]:
    servers = warm(setting)
    for key, size, share in (("inbound-40k", KILOBYTES_40, 0.5), ("inbound-1m", MEGABYTE, 0.1)):
        shape = Shape(setting.amounts.part(share), size=size)
        yield setting.compare(key, servers, lambda server, s=shape: into_maildir(setting, server, s))


def recipients(setting: Setting) -> Iterator[Row]:
    """The Maildirs are the same in all rounds, made before the first one, and emptied before each: to count what lies
    in so many takes time, too, and the clock runs meanwhile."""
    servers = warm(setting)
    shape = Shape(setting.amounts.part(0.3), recipients=20)

    def measure(server: Server) -> float:
        maildirs = [server.mail / "example.org" / user for user in ("r", *MANY)]
        load.empty(maildirs)
        return load.inbound(server.port, maildirs, "r@example.org", shape)

    for server in servers.values():
        measure(server)
    yield setting.compare("inbound-20-recipients", servers, measure)


def latency(setting: Setting) -> Iterator[Row]:
    servers = warm(setting)
    times = {name: [] for name in servers}
    for _ in range(setting.amounts.rounds):
        for name, server in servers.items():
            to = f"{setting.mailbox()}@example.org"
            times[name].append(load.acknowledgements(server.port, to, setting.amounts.lone))
    for key, share in (("latency-p50", 0.5), ("latency-p99", 0.99)):
        found = {name: [load.percentile(one, share) for one in each] for name, each in times.items()}
        yield Row(key, found[OURS], found["postfix"])


def relay(setting: Setting) -> Iterator[Row]:
    servers = setting.pair()
    with load.Sink(setting.sink, setting.mount.parent / "sink") as sink:
        for server in servers.values():
            load.relay(server.port, sink, Shape(setting.amounts.warm_up))
        for sessions in (20, 100):
            shape = Shape(setting.amounts.messages, sessions)
            yield setting.compare(
                f"relay-{sessions}", servers, lambda server, s=shape: load.relay(server.port, sink, s)
            )


def sessions(setting: Setting) -> Iterator[Series]:
    """Throughput by sessions at a time, kept open, so that it is they that are counted and not connections made."""
    servers = warm(setting)
    shape = Shape(setting.amounts.part(0.5), keep_open=True)
    lines: dict[str, list[tuple[float, float]]] = {}
    with load.Sink(setting.sink, setting.mount.parent / "sink-sessions") as sink:
        ways = {
            "inbound": lambda server, shape: into_maildir(setting, server, shape),
            "relay": lambda server, shape: load.relay(server.port, sink, shape),
        }
        for count in setting.amounts.sessions:
            # Every session has some letters, and a lone one does not take all day.
            letters = max(shape.messages if count > 1 else shape.messages // 2, 4 * count)
            now = evolve(shape, sessions=count, messages=letters)
            for way, measure in ways.items():
                found = by_turns(servers, lambda server, m=measure, s=now: m(server, s), min(3, setting.amounts.rounds))
                for name, figures in found.items():
                    lines.setdefault(f"{way}, {name}", []).append((count, load.percentile(figures, 0.5)))
    yield Series("sessions", lines)


# ---- Users who log in


def submission(setting: Setting) -> Iterator[Row]:
    """The same certificate for both; of passwords both know the plain text, so that no hash is measured."""
    folder = setting.folder("submission")
    chain, pair = submitting.certificate(folder)
    knows = Dovecot(folder / "dovecot", 0, USERS)
    tls = f"[tls]\ncertificate = {chain}\nkey = {pair}"
    ours = setting.ours(folder / OURS, more=tls, submission=free_port())
    theirs = setting.postfix(folder / "postfix", submission=free_port(), pair=str(pair), auth=str(knows.auth))
    call("chown", f"{OWNER}:{OWNER}", folder)
    ceilings: list[float] = []
    with contextlib.ExitStack() as stack:
        stack.enter_context(knows)
        servers: dict[str, Server] = {OURS: stack.enter_context(ours), "postfix": stack.enter_context(theirs)}
        unused = iter(USERS)

        def measure(server: Server, messages: int) -> float:
            user = next(unused)
            maildir = server.mail / "example.org" / user

            def arrived() -> float:
                start = time.perf_counter()
                load.until(lambda: load.in_new([maildir]), messages, 120)
                return time.perf_counter() - start

            done = submitting.run(server.submission, SUBMITTERS, f"{user}@example.org", messages, arrived)
            ceilings.append(done.ceiling)
            return messages / done.seconds

        (secured,) = {_secured(server) for server in servers.values()}  # not the same: no comparison
        for server in servers.values():
            measure(server, setting.amounts.part(0.05))
        messages = setting.amounts.part(0.3)
        row = setting.compare("submission", servers, lambda server: measure(server, messages))
    ceiling = load.percentile(ceilings, 0.5)
    note = f"{secured}, ECDSA P-256; the clients alone could do {ceiling:,.0f}/s on this machine"
    yield evolve(row, note=note)


def _secured(server: Server) -> str:
    return submitting.Submitter(server.submission, SUBMITTERS[0], f"{SUBMITTERS[0]}@example.org").send()
