"""Memory: idle, with many connections, with large messages on their way."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import load
from figures import OURS, Row
from setting import Setting

MIB = 1.048576  # MB
TENTH = 10  # Postfix has a process for each connection: so many times fewer are opened, and counted so many times
OCTETS = 20_000_000


def memory(setting: Setting) -> Iterator[Row]:
    """Of servers that were just started: one with something left over from earlier would seem to need nothing."""
    folder = setting.folder("memory")
    connections = setting.amounts.connections
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(setting.ours(folder / OURS))
        theirs = stack.enter_context(setting.postfix(folder / "postfix"))
        yield Row("memory-idle", [load.memory(ours.pid()) * MIB], [load.memory(theirs.pid()) * MIB])
        held = load.idle(ours.port, ours.pid(), connections) * MIB
        few = load.idle(theirs.port, theirs.pid(), connections // TENTH) * MIB
        note = f"Postfix: {TENTH} times what {connections // TENTH:,} take"
        yield Row("memory-connections", [held], [few * TENTH], note)
    # Again fresh ones, unless other workloads came before.
    servers = setting.pair()
    octets, count = OCTETS, setting.amounts.in_flight
    found = {
        name: load.in_flight(server.port, server.pid(), "u1@example.org", count, octets) * MIB
        for name, server in servers.items()
    }
    yield Row("memory-in-flight", [found[OURS]], [found["postfix"]])
