"""``bench/`` is a folder of programs: its modules find each other as scripts do."""

from __future__ import annotations

import sys
from pathlib import Path

# Last, so that none of its names stands before one of the library.
sys.path.append(str(Path(__file__).parent.parent.parent / "bench"))
