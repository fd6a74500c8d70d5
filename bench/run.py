"""All workloads, fully durable, with all default checks on: this server beside Postfix and Dovecot, on the same disk
in the same run.

    .venv/bin/python bench/run.py [--workload relay …] [--rounds 5] [--json docs/performance/figures.json]

Needs root, and Debian's ``postfix`` and ``dovecot-pop3d`` (``.ci/install``). Makes an ext4 with a journal in a file,
mounts it, runs two servers there by turns (A B A B …), and prints the medians and the median of the ratios of
neighbours. Figures of two different runs say little; nothing else should run on the machine meanwhile. All takes some
10 minutes; what has ``million`` in its name is run by itself, and takes longer.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pathlib
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator

import figures
import incoming
import mailboxes
import queues
import resources
from attrs import evolve
from figures import Row, Series
from setting import MILLION, QUICK, Amounts, Setting, disk, free_port

Workload = Callable[[Setting], Iterator[Row | Series]]


def longer(workload: Workload) -> Workload:
    """The same, up to a million."""

    def run(setting: Setting) -> Iterator[Row | Series]:
        amounts = setting.amounts
        more = evolve(amounts, queue=(*amounts.queue, MILLION), mailbox=(*amounts.mailbox, MILLION))
        return workload(evolve(setting, amounts=more))

    return run


#: Those of "all", in an order in which the most delicate come first.
WORKLOADS: dict[str, Workload] = {
    "memory": resources.memory,
    "inbound": incoming.inbound,
    "ceiling": incoming.ceiling,
    "latency": incoming.latency,
    "sizes": incoming.sizes,
    "recipients": incoming.recipients,
    "relay": incoming.relay,
    "sessions": incoming.sessions,
    "submission": incoming.submission,
    "startup": queues.startup,
    "queue": queues.by_length,
    "pop3": mailboxes.beside_dovecot,
    "mailbox": mailboxes.by_size,
}
LONG: dict[str, Workload] = {
    "queue-million": longer(queues.by_length),
    "mailbox-million": longer(mailboxes.by_size),
}
PROGRAMS = ("postfix", "smtp-source", "smtp-sink", "dovecot", "mkfs.ext4")


def play(chosen: argparse.Namespace) -> None:
    amounts = QUICK if chosen.quick else Amounts(rounds=chosen.rounds, messages=chosen.messages)
    run = figures.this_run(chosen.sync)
    # What is measured with tiny amounts must not stand among figures.
    kept = figures.read(chosen.json) if chosen.json and not chosen.quick else {"rows": {}, "series": {}}
    kept["machine"] = figures.machine()
    workloads = {**WORKLOADS, **LONG}
    names = list(WORKLOADS) if "all" in chosen.workload else chosen.workload
    figures.heading()
    with disk() as mount, contextlib.ExitStack() as stack:
        setting = Setting(mount, amounts, chosen.sync, stack, free_port())
        for name in names:
            start = time.monotonic()
            for found in workloads[name](setting):
                tell(found)
                figures.add(kept, found, run)
                if chosen.json:
                    figures.write(chosen.json, kept)
            print(f"-- {name}: {time.monotonic() - start:.0f} s", file=sys.stderr)


def tell(found: Row | Series) -> None:
    if isinstance(found, Row):
        figures.show(found)
        return
    print(f"{found.key}:")
    for name, points in found.lines.items():
        print(f"  {name:24}" + "  ".join(f"{x:,.0f}: {y:.4g}" for x, y in points), flush=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--workload", choices=(*WORKLOADS, *LONG, "all"), nargs="+", default=["all"])
    options.add_argument("--rounds", type=int, default=Amounts().rounds)
    options.add_argument("--messages", type=int, default=Amounts().messages, help="a round and server")
    options.add_argument("--sync", choices=("auto", "filesystem", "file"), default="auto", help="[spool] sync of ours")
    options.add_argument("--quick", action="store_true", help="tiny amounts: only shows that all of it runs")
    options.add_argument("--json", type=pathlib.Path, help="put the figures into this file; others stay in it")
    chosen = options.parse_args()
    if os.geteuid():
        sys.exit("bench/run.py needs root: it mounts a file system and starts Postfix and Dovecot")
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        sys.exit(f"bench/run.py needs {', '.join(missing)}: see .ci/install")
    # Whoever ends it gets back the disk and the ports.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))
    play(chosen)


if __name__ == "__main__":
    main()
