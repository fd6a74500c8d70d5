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

SCRAM = "SCRAM-SHA-256"


@frozen
class Case:
    fetch: Fetch
    tls: str
    told: str = ""  #: how to log in; "": the program chooses
    method: str = "PLAIN"  #: how it does

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
    Case(fetchers.thunderbird, IMPLICIT),
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


def last_session(office: Office) -> str:
    """What the log says of it."""
    line: str = office.logged("pop3: user=<alice@office.test>", "Logged out")[-1]
    return line


@pytest.mark.parametrize("case", CASES, ids=str)
def test_letters_of_all_kinds(office: Office, case: Case, tmp_path: Path) -> None:
    if case.method == SCRAM:
        name, question, answer = KNOWS_SCRAM[case.fetch]
        if answer not in run(name, question).stdout:
            missing(f"{name} does not know SCRAM-SHA-256")
    put(office.maildir("alice"), SAMPLES)
    visit = Visit(office, "alice", case.tls, case.told, keep=True, folder=tmp_path)
    fetched = case.fetch(visit)
    assert f"method={case.method}," in office.logged("pop3-login: Login:")[-1]
    assert len(fetched) == len(SAMPLES)
    changed = CHANGED.get(case.fetch, frozenset())
    left = Counter(map(on_the_wire, fetched))
    wrong = [name for name, stored in SAMPLES.items() if not left[on_the_wire(stored)] and name not in changed]
    assert wrong == []

    # Again: there is nothing new.
    assert len(case.fetch(visit)) == len(SAMPLES)
    assert " top=0/0, retr=0/0, " in last_session(office)
    assert len(office.files("alice")) == len(SAMPLES)

    # From another machine, which leaves nothing on the server.
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert case.fetch(evolve(visit, keep=False, folder=elsewhere))
    assert office.files("alice") == []
