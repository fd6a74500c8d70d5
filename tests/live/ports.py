"""Free ports of loopback."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack

#: Below the range from which the kernel takes the ports of clients.
RANGE = range(10_000, 30_000)


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
