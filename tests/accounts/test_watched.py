"""Files that change while they are asked for; what comes of their contents is in test_users and test_aliases."""

from __future__ import annotations

from pathlib import Path
from threading import Event, Thread

from mailstack.accounts.aliases import Aliases
from mailstack.accounts.watched import Watched
from tests.fakes import ListLog
from tests.fakes_accounts import HandClock


def test_who_comes_while_another_thread_reads_waits_for_what_it_finds(tmp_path: Path) -> None:
    """At a start a thread may be the first that asks; then the reactor must not find that there is nothing."""
    path = tmp_path / "aliases"
    path.touch()
    reading, go_on = Event(), Event()
    found, reads = Aliases({}), 0

    def read(path: Path) -> Aliases:
        nonlocal reads
        reads += 1
        reading.set()
        assert go_on.wait(30)
        return found

    watched = Watched(path, read, HandClock(), lambda: 2e9, ListLog())
    values: list[Aliases | None] = []
    threads = [Thread(target=lambda: values.append(watched.value())) for _ in range(3)]
    threads[0].start()
    assert reading.wait(30)
    for thread in threads[1:]:
        thread.start()
    assert values == []
    go_on.set()
    for thread in threads:
        thread.join(30)
    assert values == [found] * 3
    assert reads == 1
