"""What a seed wants: how large the world is, and which kinds of faults it has. Each seed has some kinds and not others,
as what hides from all of them together may show itself to a few."""

from __future__ import annotations

from random import Random

from attrs import frozen

from mailstack.config.settings import DAY, HOUR, MINUTE, Queue
from mailstack.queue.looks import Looks

KINDS = (
    "kill",
    "power",
    "stop",
    "cut",
    "stall",
    "split",
    "call",
    "mood",
    "dns",
    "sync",
    "slow disk",
    "full disk",
    "jump",
    "sleep",
)


@frozen
class Plan:
    seed: int
    kinds: frozenset[str]
    machines: int
    letters: int
    strangers: int
    spell: float  #: seconds in which letters come and faults happen
    queue: Queue
    looks: Looks
    sync: str
    crashes: int  #: of each machine, at most
    checkpoint: int  #: changed rows between two of them

    @classmethod
    def of(cls, seed: int) -> Plan:
        rng = Random(seed)
        share = rng.choice((0.2, 0.4, 0.7))
        kinds = frozenset(kind for kind in KINDS if rng.random() < share)
        days = rng.choice((0, 0, 0, 0, 0, 0, 0, 1, 1, 5))
        lifetime = {0: 2 * HOUR, 1: DAY, 5: 5 * DAY}[days]
        settings = Queue(
            retry=rng.choice(((MINUTE, 5 * MINUTE, 20 * MINUTE), (MINUTE, 10 * MINUTE))) if not days else Queue().retry,
            lifetime=lifetime,
            bounce_lifetime=lifetime / rng.choice((1, 4)),
            delay_warning=rng.choice(((), (15 * MINUTE, HOUR))) if not days else Queue().delay_warning,
            concurrency=rng.choice((2, 10, 100)),
            concurrency_per_destination=rng.choice((1, 3, 20)),
        )
        slow = {0: 4 * MINUTE, 1: 30 * MINUTE, 5: 4 * HOUR}[days]
        return cls(
            seed=seed,
            kinds=kinds,
            machines=rng.choice((1, 1, 2, 2, 2, 3)),
            letters=rng.randrange(3, 13),
            strangers=rng.choice((0, 0, 1)),
            spell=rng.choice((2.0, MINUTE, 10 * MINUTE, HOUR)) if not days else lifetime * rng.choice((0.01, 0.5)),
            queue=settings,
            looks=Looks(poll=slow, sent=DAY, sweep=2 * slow),
            sync=rng.choice(("file", "file", "filesystem")),
            crashes=rng.randrange(1, 4),
            checkpoint=rng.choice((20, 60, 200)),
        )
