"""Free ports of loopback."""

from __future__ import annotations

import os
import random
import socket
from contextlib import ExitStack

#: Where pytest-xdist runs tests side by side, each of its processes has ports of its own: those that are chosen are
#: bound only a moment later.
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))

#: Below the range from which the kernel takes the ports of clients.
RANGE = range(10_000 + WORKER, 30_000, WORKERS)


def free_ports(number: int) -> list[int]:
    """Ports that were free a moment ago, all different."""
    with ExitStack() as stack:
        return [_free_port(stack) for _ in range(number)]


def _free_port(stack: ExitStack) -> int:
    while True:
        port = random.choice(RANGE)
        bound = stack.enter_context(socket.socket())
        try:
            bound.bind(("127.0.0.1", port))
        except OSError:
            continue
        return port
