"""The long run: our client against 200,000 hostile servers, some minutes on two cores."""

from __future__ import annotations

import sys

from tests.fuzz.long_run import main
from tests.fuzz_remote.play import play

if __name__ == "__main__":
    sys.exit(main("python -m tests.fuzz_remote", __doc__, play, "servers", 200_000))
