"""The other server: it takes letters, puts them off, refuses them, and hangs up at the worst moments."""

from __future__ import annotations

import random
import time

from tests.crash.judge import THERE, Book, Place, Sighting
from tests.crash.letters import recognised
from tests.live.sink import DATA_BEGINS, TAKEN, HangUp, Sink, Taken

#: What an address does begins its local part.
FINE, LATER, REFUSED = "fine", "later", "refused"

#: How often it is in a mood.
BUSY, CUT, REFUSING, SLOW = 0.03, 0.02, 0.02, 0.03

THOUGHT = 1.5  # seconds that it takes over a letter when it is slow: longer than any mark may wait


class Remote(Sink):
    """Writes what it takes and refuses into the ``book``. What it takes and does not say so it throws away, so the
    letter must come again."""

    def __init__(self, book: Book, rng: random.Random) -> None:
        super().__init__(self._answer)
        self.calm = False  #: it takes what it can
        self._book = book
        self._rng = rng

    def _answer(self, line: str) -> str | None:
        """To commands, and at the moments between them."""
        if line.startswith("RCPT"):
            return self._recipient(line)
        if not self.calm and line in (DATA_BEGINS, TAKEN) and self._happens(CUT):
            raise HangUp(reset=self._happens(0.5))
        if not self.calm and line.startswith(("EHLO", "MAIL")) and self._happens(BUSY):
            return "421 4.3.2 busy"
        return None

    def _recipient(self, line: str) -> str | None:
        kind = line.partition("<")[2]
        if kind.startswith(REFUSED):
            return "550 5.1.1 nobody of that name"
        if kind.startswith(LATER) and not self.calm and self._happens(0.5):
            return "450 4.2.0 greylisted"
        return None

    def _happens(self, probability: float) -> bool:
        return self._rng.random() < probability

    def take(self, letter: Taken) -> str | None:
        began = time.time()
        name = recognised(letter.content)
        if name and not self.calm:
            if self._happens(SLOW):
                time.sleep(THOUGHT)
            if self._happens(CUT):
                raise HangUp(reset=self._happens(0.5))
            if self._happens(BUSY):
                return "451 4.3.0 come again"
            if self._happens(REFUSING):
                self._book.refused.update((name, each) for each in letter.recipients)
                return "554 5.7.0 not such a letter"
        now = time.time()
        what = b"" if name else letter.content[:300]
        self._book.arrived += [Sighting(name, Place(THERE, each), now, what, now - began) for each in letter.recipients]
        return None
