"""Finding letters in days of history that nobody has tidied up."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from mailstack.admin import why_search
from mailstack.admin.why_search import Question, Search
from mailstack.model.address import Address
from mailstack.model.ids import Ids
from mailstack.server.history_file import append, day_of, encode, path_of

NOW = 1_795_694_400.0  # 2026-11-26T12:00:00Z
DAY = 86400.0
ALICE, BOB = Address.parse("alice@office.test"), Address.parse("bob@office.test")
FRIEND, BOSS = Address.parse("friend@far.test"), Address.parse("boss@far.test")


class Past:
    """Writes days of history."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.time = NOW
        self.new_id = Ids(lambda: self.time, Random(1).getrandbits)

    def say(self, id: str, **fields: object) -> None:
        line = encode([(self.time, id, [fields], {})])
        append(path_of(self.folder, day_of(self.time)), line.encode())

    def letter(self, sender: Address, *to: Address, ago: float = 0.0, later: float = 0.0, **more: object) -> str:
        """``later``: seconds until it is delivered."""
        self.time = NOW - ago
        id = self.new_id()
        self.say(id, client="unknown[192.0.2.1]", from_=f"<{sender}>", size=9, proto="ESMTP", **more)
        self.time += later
        for each in to:
            self.say(id, to=f"<{each}>", relay="local", status="sent (250 2.0.0 Ok)")
        return id

    def refuse(self, sender: Address, to: Address | None, ago: float = 0.0, verb: str = "RCPT") -> None:
        self.time = NOW - ago
        what = f"reject: {verb} from unknown[192.0.2.1]: 550 5.1.1 No such user here;"
        self.say("NOQUEUE", what=what, from_=f"<{sender}>", to=f"<{to}>" if to else None)

    def find(self, *also: str, **asked: object) -> why_search.Found:
        return Search(self.folder, NOW).find(Question(**asked), also)  # type: ignore[arg-type]


@pytest.fixture
def past(tmp_path: Path) -> Past:
    return Past(tmp_path)


def test_by_recipient(past: Past) -> None:
    """With all that happened to the letter, on other days, too."""
    id = past.letter(FRIEND, ALICE, BOB, ago=DAY, later=60)
    past.letter(FRIEND, BOB)
    past.time = NOW
    past.say("pop3", what="Fetched:", user="<alice@office.test>", ids=f"{past.new_id()} {id}")
    found = past.find(recipient=ALICE)
    assert list(found.letters) == [id]
    assert [event.id for event in found.letters[id]] == [id, id, id, "pop3"]


def test_received_on_the_day_before(past: Past) -> None:
    """What was before --since is told of a letter to which something has happened since then."""
    id = past.letter(FRIEND, ALICE, ago=2 * DAY, later=DAY)
    assert len(past.find(recipient=ALICE, since=NOW - 1.5 * DAY).letters[id]) == 2
    assert past.find(recipient=ALICE, since=NOW - DAY / 2).letters == {}


@pytest.mark.parametrize("name", ["Alice@office.test", "ALICE@office.test"])
def test_any_case_of_letters(past: Past, name: str) -> None:
    id = past.letter(FRIEND, ALICE)
    assert list(past.find(recipient=Address.parse(name)).letters) == [id]


def test_any_script(past: Past) -> None:
    name = Address.parse("用户@例子.test")
    id = past.letter(FRIEND, name)
    past.letter(FRIEND, Address.parse("别人@例子.test"))
    assert list(past.find(recipient=name).letters) == [id]


def test_as_the_client_gave_it(past: Past) -> None:
    id = past.letter(FRIEND)
    past.say(id, to=f"<{ALICE}>", orig_to=f"<{BOB}>", relay="local", status="sent (250 2.0.0 Ok)")
    assert list(past.find(recipient=BOB).letters) == [id]


def test_all_that_is_asked_for_must_hold(past: Past) -> None:
    id = past.letter(FRIEND, ALICE, **{"message-id": "<One@far.test>"})
    past.letter(BOSS, ALICE, **{"message-id": "<two@far.test>"})
    past.letter(FRIEND, BOB)
    assert list(past.find(recipient=ALICE, sender=FRIEND).letters) == [id]
    assert list(past.find(message_id="<one@far.test>").letters) == [id]
    assert list(past.find(message_id="One@far.test").letters) == [id]
    assert past.find(recipient=BOB, message_id="<one@far.test>").letters == {}
    assert len(past.find(sender=FRIEND).letters) == 2


def test_a_part_of_an_address_is_not_the_address(past: Past) -> None:
    past.letter(FRIEND, Address.parse("malice@office.test"))
    past.letter(FRIEND, Address.parse("alice@office.test.example"))
    assert past.find(recipient=ALICE).letters == {}


def test_the_newest_ones(past: Past) -> None:
    ids = [past.letter(FRIEND, ALICE, ago=(10 - number) * DAY) for number in range(10)]
    found = past.find(recipient=ALICE, last=3)
    assert list(found.letters) == ids[-3:]
    assert found.more
    assert not past.find(recipient=ALICE, last=10).more


def test_refusals_of_one_kind_are_told_once(past: Past) -> None:
    for ago in (3 * DAY, 0.0, DAY):
        past.refuse(FRIEND, ALICE, ago=ago)
    past.refuse(BOSS, ALICE)
    past.refuse(FRIEND, BOB)
    theirs, bosses = sorted(past.find(recipient=ALICE).refusals, key=lambda each: each.last.field("from"), reverse=True)
    assert (theirs.times, theirs.first.time, theirs.last.time) == (3, NOW - 3 * DAY, NOW)
    assert bosses.times == 1


def test_a_refusal_for_no_recipient_in_particular(past: Past) -> None:
    """May be the reason, if it was the sender's."""
    past.refuse(FRIEND, None, verb="DATA")
    past.refuse(BOSS, None, verb="DATA")
    assert len(past.find(recipient=ALICE, sender=FRIEND).refusals) == 1
    assert past.find(recipient=ALICE).refusals == []


def test_a_report_belongs_to_its_original(past: Past) -> None:
    original, report = past.letter(FRIEND, BOB), past.new_id()
    past.say(original, what=f"sender non-delivery notification: {report}")
    lives = Search(past.folder, NOW).lives([report, original])
    assert len(lives[report]) == 1
    assert len(lives[original]) == 3


def test_letters_that_only_the_queue_knows(past: Past) -> None:
    id = past.letter(FRIEND)
    found = past.find(id, "K0YEACMR8AN7", recipient=ALICE)
    assert len(found.letters[id]) == 1
    assert found.letters["K0YEACMR8AN7"] == []


def test_whatever_stands_between_the_lines(past: Past) -> None:
    """Torn and foreign lines, without ends, very long, half of an object with the address in it."""
    path = path_of(past.folder, day_of(NOW))
    path.write_bytes(
        b'{"to":"<alice@office.test>"\n' + b"alice@office.test" * 100_000 + b"\n\x00\xff alice@office.test\n"
    )
    id = past.letter(FRIEND, ALICE)
    with path.open("ab") as file:
        file.write(b'{"time":"2026-11-26T12:00:00.000Z","id":"K0Y","to":"<alice@office.test>"')
    (past.folder / "2026-13-40.jsonl").write_text("x")
    (past.folder / ".2026-11-26.jsonl.swp").write_text("x")
    assert list(past.find(recipient=ALICE).letters) == [id]


@pytest.mark.parametrize("piece", [1, 7, 100, 1000])
def test_wherever_a_piece_ends(past: Past, monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    monkeypatch.setattr(why_search, "PIECE", piece)
    ids = [past.letter(FRIEND, ALICE) for _ in range(3)]
    found = past.find(recipient=ALICE)
    assert list(found.letters) == ids
    assert [len(events) for events in found.letters.values()] == [2, 2, 2]


def test_memory_is_bounded(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(why_search, "MAX_IDS", 5)
    monkeypatch.setattr(why_search, "MAX_EVENTS", 4)
    monkeypatch.setattr(why_search, "MAX_REFUSALS", 2)
    ids = [past.letter(FRIEND, ALICE, *[BOB] * 9) for _ in range(9)]
    for number in range(9):
        past.refuse(Address.parse(f"{number}@far.test"), ALICE, ago=10.0 - number)
    found = past.find(recipient=ALICE, sender=FRIEND)
    assert list(found.letters) == ids[-5:]
    assert {len(events) for events in found.letters.values()} == {4}
    kept = past.find(recipient=ALICE).refusals
    assert [each.last.field("from") for each in kept] == ["<7@far.test>", "<8@far.test>"]


def test_no_history(tmp_path: Path) -> None:
    assert Search(tmp_path / "none", NOW).find(Question(ALICE)) == why_search.Found()
