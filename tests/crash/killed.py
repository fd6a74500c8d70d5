"""``kill -9`` at random moments under a mixed load, again and again.

    .venv/bin/python -m tests.crash.killed [--rounds 1000] [--servers 2] [--seed N]

Some kills come while the server starts. Every 25 rounds all that waits goes its way, and each letter that was
acknowledged must be at all its places, once. A second copy is excused at the other server, or of a report, if a kill
came before the mark of the first could be durable. The seed chooses letters and moments; what the server was about at
these moments is chance.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

from tests.crash.campaign import LONGEST, Campaign, Progress, Tally, options, populate, sections, side_by_side, told
from tests.crash.judge import Book, Crash
from tests.crash.load import ACCOUNTS
from tests.crash.remote import Remote
from tests.live.office import Office

SOON = 0.6  # seconds from the beginning of a start to the kill, at most
AT_START = 0.1  # of the kills are followed by one during the start


class Kills:
    def __init__(self, campaign: Campaign) -> None:
        self.campaign = campaign

    def strike(self) -> Crash:
        office, rng, tally = self.campaign.office, self.campaign.rng, self.campaign.tally
        time.sleep(rng.uniform(0, LONGEST))
        began = time.time()
        if office.ended is not None:
            tally.problems.append(f"it ended by itself: {office.ended}")
        office.kill()
        while rng.random() < AT_START:
            process = office.launch()
            time.sleep(rng.uniform(0, SOON))
            process.kill()
            process.wait()
            tally.note("killed while it starts")
        return self.campaign.crash(began)


def play(folder: Path, rounds: int, seed: str, progress: Progress) -> Tally:
    """One server."""
    book = Book()
    with Remote(book, random.Random(f"{seed}-remote")) as remote:
        office = Office(folder, sections(remote.port, {}))
        populate(office, ACCOUNTS)
        campaign = Campaign(office, remote, book, seed)
        try:
            tally = campaign.run(rounds, Kills(campaign).strike, progress)
        finally:
            campaign.close()
    # A kill is no reason to put anybody off.
    tally.problems += [f"{number} clients heard {code}" for code, number in tally.answers.items() if code[:1] == "4"]
    return tally


def main() -> int:
    parser = options("Kill the server at random moments under a mixed load.", 1000)
    parser.add_argument("--servers", type=int, default=2, help="at a time")
    chosen = parser.parse_args()
    shares = [len(range(index, chosen.rounds, chosen.servers)) for index in range(chosen.servers)]
    tally = side_by_side({f"server{index}": (play, share) for index, share in enumerate(shares)}, chosen.seed)
    return 1 if told(f"seed {chosen.seed}, killed", tally) else 0


if __name__ == "__main__":
    sys.exit(main())
