"""The long run: a million hostile POP3 clients take about five minutes on two cores."""

from __future__ import annotations

import sys

from tests.fuzz.long_run import main
from tests.fuzz_pop3.play import play

if __name__ == "__main__":
    sys.exit(main("python -m tests.fuzz_pop3", __doc__, play, "clients", 1_000_000))
