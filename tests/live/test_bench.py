"""The benchmark runs: all of its workloads, with tiny amounts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live.programs import need_root, program

BENCH = Path(__file__).parent.parent.parent / "bench"
TIMEOUT = 480  # seconds, on a machine that others keep busy
SERIES = {"sessions": 4, "queue": 6, "mailbox": 6}  # lines of each


@pytest.mark.slow
def test_all_workloads(tmp_path: Path) -> None:
    need_root()
    for name in ("postfix", "smtp-source", "smtp-sink", "dovecot", "mkfs.ext4"):
        program(name)
    kept = tmp_path / "figures.json"
    command = [sys.executable, BENCH / "run.py", "--quick", "--json", kept]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        try:
            out, errors = run.communicate(timeout=TIMEOUT)
        except BaseException:
            # Killed it would leave its servers and its disk behind.
            run.terminate()
            run.communicate()
            raise
    if "mount:" in errors:
        pytest.skip(f"no file system can be mounted here: {errors.strip()[-200:]}")
    assert run.returncode == 0, out[-1000:] + errors[-3000:]
    found = json.loads(kept.read_text())
    known = subprocess.run(
        [sys.executable, "-c", "import figures; print(*(goal.key for goal in figures.GOALS))"],
        capture_output=True,
        text=True,
        cwd=BENCH,
        check=True,
    )
    assert set(found["rows"]) == set(known.stdout.split())
    assert {name: len(each["lines"]) for name, each in found["series"].items()} == SERIES
    for key, row in found["rows"].items():
        if key.endswith(("-20", "-open", "-100", "-40k", "-1m", "recipients", "submission")) and "cpu" not in key:
            assert min(row["ours"]) > 0 and min(row["theirs"]) > 0, key
    assert found["machine"]["Postfix"] and found["rows"]["relay-20"]["run"]["commit"]
