"""A short soak; and that the judges have teeth."""

from __future__ import annotations

import random
from pathlib import Path

from tests.soak.ledger import Ledger, letter
from tests.soak.places import BOUNCE
from tests.soak.play import play
from tests.soak.watch import Limits, Sample, grown, growth, left

#: In the first seconds the server still loads what it needs for the first time.
SHORT = Limits(memory=0.25)


def test_a_short_soak(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    print(f"seed {seed}")
    soak = play(tmp_path, seed, warm_up=4.0, seconds=6.0, limits=SHORT, say=print, pause=0.3)
    assert soak.problems == [], "\n".join(soak.table())
    assert soak.traffic.counts["fetch"] > 3 and soak.traffic.ledger.copies > 20


def stored(name: str, octets: int = 300) -> bytes:
    content = letter(name, octets, random.Random(1))
    return b"Received: x\r\n" + content


def ledger_with(*names: str) -> Ledger:
    ledger = Ledger()
    for name in names:
        ledger.offer(name, stored(name))
        ledger.acknowledge(name, ["a@x.test", "b@x.test"])
    return ledger


def test_all_is_well() -> None:
    ledger = ledger_with("n1", "n2")
    for name in ("n1", "n2"):
        for place in ("a@x.test", "b@x.test"):
            ledger.see(stored(name).replace(b"\r\n", b"\n"), place)
    assert ledger.judge() == []
    assert ledger.copies == 4


def test_what_is_lost_twice_damaged_or_unwanted_is_seen() -> None:
    ledger = ledger_with("n1")
    ledger.see(stored("n1"), "a@x.test")
    ledger.see(stored("n1"), "a@x.test")
    ledger.see(stored("n1")[:-2], "b@x.test")
    ledger.see(stored("n9"), "b@x.test")
    ledger.see(b"", "b@x.test")
    ledger.offer("cut", stored("cut"))
    ledger.see(stored("cut"), "b@x.test")
    damaged, never, nothing, lost, twice, cut = ledger.judge()
    assert damaged.startswith("damaged: n1 at b@x.test")
    assert never.startswith("unexpected at b@x.test") and nothing.startswith("unexpected at b@x.test")
    assert lost == "lost: n1 for b@x.test"
    assert "('cut', 'b@x.test')" in twice and "('n1', 'a@x.test')" in cut


def test_a_report_counts_as_one() -> None:
    """It shows the header of its letter."""
    ledger = Ledger()
    ledger.offer("n1", stored("n1"))
    ledger.acknowledge("n1", [BOUNCE])
    header = stored("n1").partition(b"\r\n\r\n")[0]
    kind = b"Content-Type: multipart/report; report-type=delivery-status; boundary=x\r\n\r\n--x\r\n"
    ledger.see(kind + header + b"\r\n\r\n--x--\r\n", "a@x.test")
    assert ledger.judge() == [] and ledger.bounces == 1


def test_letters_are_of_about_the_size_that_was_wanted() -> None:
    rng = random.Random(2)
    for octets in (0, 1, 100, 5_000, 200_000):
        assert abs(len(letter("n1", octets, rng)) - octets) < 250


def sample(rss: float = 50.0, files: int = 20, threads: int = 6) -> Sample:
    return Sample(rss, rss - 10, files, threads)


def test_growth_is_from_the_first_quarter_to_the_last() -> None:
    samples = [sample(50 + number / 10) for number in range(100)]
    assert 0.14 < growth(samples, lambda one: one.rss) < 0.16
    peaks = [sample(99 if number % 3 == 0 else 50) for number in range(16)]
    assert growth(peaks, lambda one: one.rss) == 0.0, "a peak, as while a password is checked, is no growth"


def test_what_grows_is_told() -> None:
    flat, calm = [sample()] * 8, sample()
    assert grown(flat, (calm, calm), Limits()) == []
    memory = grown([sample(50 + number) for number in range(8)], (calm, calm), Limits())
    assert [line.split(" has")[0] for line in memory] == ["RSS", "memory of its own"]
    assert grown(flat, (calm, sample(files=23)), Limits()) == ["23 open files at the end, 20 after the warm-up"]
    assert grown(flat, (calm, sample(threads=10)), Limits()) == ["10 threads at the end, 6 after the warm-up"]


def test_what_is_left_on_the_disk_is_told(tmp_path: Path) -> None:
    for folder in ("spool/messages", "state/history", "mail/x.test/a/tmp"):
        (tmp_path / folder).mkdir(parents=True)
    assert left(tmp_path, 0, Limits()) == []
    (tmp_path / "spool/messages/L1").touch()
    (tmp_path / "mail/x.test/a/tmp/one").touch()
    (tmp_path / "spool/queue.db").write_bytes(b"x" * 100)
    (tmp_path / "state/history/2026-01-01.jsonl").write_bytes(b"x" * 100)
    found = left(tmp_path, 1, Limits(database=99, history=99))
    assert found[0] == "left in the spool: L1" and found[1].startswith("left in ")
    assert [line.split()[0] for line in found[2:]] == ["queue.db", "history"]
