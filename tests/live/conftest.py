"""Whatever a live test starts is stopped, also when the test fails."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.live.office import Office, Sections
from tests.live.programs import NOBODY, need_root
from tests.live.sink import Sink, as_usual

MakeOffice = Callable[..., Office]


def next_hop(sink: Sink) -> Sections:
    """All foreign mail goes there."""
    return {"routes": {"*": f"smtp:[127.0.0.1]:{sink.port}"}}


@pytest.fixture
def make_office(tmp_path: Path) -> Iterator[MakeOffice]:
    """``make_office({"queue": {"retry": "1s"}}, users=["alice"])``: not started yet."""
    with ExitStack() as stack:

        def make(sections: Sections | None = None, users: tuple[str, ...] = ("alice",)) -> Office:
            made = Office(tmp_path, sections)
            stack.callback(made.close)
            made.add_users(*users)
            return made

        yield make


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users can enter, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="mailstack-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def nobodys_office(open_folder: Path) -> Iterator[Office]:
    """One that root starts and that runs as nobody, as it would beside a Dovecot."""
    need_root()
    folder = open_folder / "office"
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    made = Office(folder)
    try:
        made.add_users("alice", "bob")
        yield made.start(f"--uid={NOBODY}", f"--gid={NOBODY}")
    finally:
        made.close()


@pytest.fixture(scope="module")
def module_sink() -> Iterator[Sink]:
    with Sink() as running:
        yield running


@pytest.fixture
def sink(module_sink: Sink) -> Sink:
    """The next hop of ``office``, with nothing in it and as friendly as it was at first."""
    module_sink.answer = as_usual
    module_sink.letters.clear()
    module_sink.lines.clear()
    return module_sink


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory, module_sink: Sink) -> Iterator[Office]:
    """One for all tests of a module. Users are alice, bob, carol and dave; all mail for elsewhere goes to ``sink``."""
    made = Office(tmp_path_factory.mktemp("office"), next_hop(module_sink))
    try:
        made.add_users("alice", "bob", "carol", "dave")
        yield made.start()
    finally:
        made.close()
