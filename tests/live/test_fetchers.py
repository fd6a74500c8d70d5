"""Mail programs fetch letters of all kinds: octet for octet, once, and gone where they remove them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
from attrs import evolve, frozen

from tests.live import fetchers
from tests.live.fetchers import IMPLICIT, STLS, Fetch, Visit
from tests.live.letters import SAMPLES, on_the_wire, put
from tests.live.office import Office
from tests.live.programs import missing, run
from tests.live.waiting import eventually

SCRAM = "SCRAM-SHA-256"


@frozen
class Case:
    fetch: Fetch
    tls: str
    told: str = ""  #: how to log in; "": the program chooses
    method: str = "PLAIN"  #: how it does
    once: bool = False  #: it takes its time, and does the rest as another case does

    def __str__(self) -> str:
        return f"{self.fetch.__name__}, {self.tls}, {self.told or 'as it likes'}"


CASES = [
    Case(fetchers.curl, STLS),
    Case(fetchers.curl, IMPLICIT),
    Case(fetchers.fetchmail, STLS),
    Case(fetchers.fetchmail, IMPLICIT),
    Case(fetchers.getmail, IMPLICIT),
    Case(fetchers.mpop, STLS),
    Case(fetchers.mpop, STLS, SCRAM, SCRAM),
    Case(fetchers.mpop, IMPLICIT, SCRAM, SCRAM),
    Case(fetchers.mutt, STLS, "user"),
    Case(fetchers.mutt, STLS, SCRAM, SCRAM),
    Case(fetchers.mutt, IMPLICIT, SCRAM, SCRAM),
    Case(fetchers.thunderbird, STLS),
    Case(fetchers.thunderbird, IMPLICIT, once=True),
]

#: What a program makes something else of, whoever sends it.
CHANGED: Mapping[Fetch, frozenset[str]] = {
    # It prints a line end for no line at all.
    fetchers.curl: frozenset({"empty"}),
    # It cuts long lines, and sees to it that there is a header and an empty line.
    fetchers.fetchmail: frozenset({"a long line", "only a header", "empty"}),
    # Python's email package writes an empty line.
    fetchers.getmail: frozenset({"only a header", "empty"}),
    # For it, a line ends at a NUL.
    fetchers.mutt: frozenset({"NUL"}),
}

#: Where a program can be built without SCRAM: what to ask it, and what it says if it wasn't.
KNOWS_SCRAM: Mapping[Fetch, tuple[str, str, str]] = {
    fetchers.mpop: ("mpop", "--version", "scram-sha-256"),
    fetchers.mutt: ("mutt", "-v", "+USE_GSASL"),
}


def sessions(office: Office) -> list[str]:
    """What the log says of each, once there are some and all are over: a program may be gone before our last line."""

    def ended() -> list[str]:
        return office.logged("pop3: Disconnected: ", "user=<alice@office.test>")

    def begun() -> list[str]:
        return office.logged("pop3-login: Login: user=<alice@office.test>")

    assert eventually(lambda: 0 < len(ended()) == len(begun()))
    return ended()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_letters_of_all_kinds(office: Office, case: Case, tmp_path: Path) -> None:
    if case.method == SCRAM:
        name, question, answer = KNOWS_SCRAM[case.fetch]
        if answer not in run(name, question).stdout:
            missing(f"{name} does not know SCRAM-SHA-256")
    put(office.maildir("alice"), SAMPLES)
    visit = Visit(office, "alice", case.tls, case.told, keep=True, folder=tmp_path)
    fetched = case.fetch(visit)
    assert f"method={case.method}," in office.wait_for_log("pop3-login: Login:")
    assert len(fetched) == len(SAMPLES)
    changed = CHANGED.get(case.fetch, frozenset())
    left = Counter(map(on_the_wire, fetched))
    wrong = [name for name, stored in SAMPLES.items() if not left[on_the_wire(stored)] and name not in changed]
    assert wrong == []
    if case.once:
        return

    # Again: there is nothing new.
    before = len(sessions(office))
    assert len(case.fetch(visit)) == len(SAMPLES)
    again = sessions(office)[before:]
    assert again
    assert all(" top=0/0, retr=0/0, " in line for line in again)
    assert len(office.files("alice")) == len(SAMPLES)

    # From another machine, which leaves nothing on the server.
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert case.fetch(evolve(visit, keep=False, folder=elsewhere))
    assert sessions(office)
    assert office.files("alice") == []
