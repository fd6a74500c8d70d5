"""Mixed mail for a long time, at a steady pace: in, by users with TLS, out, back, and fetched by POP3.

    .venv/bin/python -m tests.soak [--duration 1h] [--warm-up 10m] [--seed N]

Every letter has a checksum; each copy that was acknowledged must be seen again, whole and once. Mailboxes are emptied,
so that nothing has a reason to grow: memory, open files, threads and files are looked at. The warm-up begins with a
rush, so that buffers have been as large as they get. Exit code 1 if anything is not as it should be.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import tempfile
from pathlib import Path

from tests.soak.play import play
from tests.soak.watch import Limits

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
WARM_UP = 6  # the sixth part of the time, if nothing else is said


def seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+)([smh])", text)
    if found is None:
        raise argparse.ArgumentTypeError("a number and s, m or h, as 10m")
    return int(found[1]) * UNITS[found[2]]


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument(
        "--duration",
        type=seconds,
        default=3600.0,
        metavar="1h",
        help="with the warm-up; in less than ten minutes memory is not at rest yet",
    )
    options.add_argument("--warm-up", type=seconds, metavar="10m", help="a sixth of the duration")
    options.add_argument("--pause", type=float, default=0.3, help="seconds between two sessions of each of 9 clients")
    options.add_argument("--memory", type=float, default=Limits().memory, help="share by which memory may grow")
    options.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    chosen = options.parse_args()
    warm_up = chosen.duration / WARM_UP if chosen.warm_up is None else chosen.warm_up
    print(f"seed {chosen.seed}", flush=True)

    def say(line: str) -> None:
        print(line, flush=True)

    with tempfile.TemporaryDirectory(prefix="mailstack-soak-") as folder:
        limits = Limits(memory=chosen.memory)
        soak = play(Path(folder), chosen.seed, warm_up, chosen.duration - warm_up, limits, say, chosen.pause)
        print("\n".join(soak.table()))
    return 1 if soak.problems else 0


if __name__ == "__main__":
    sys.exit(main())
