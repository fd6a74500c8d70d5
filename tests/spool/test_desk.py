"""What the administrator sees of a queue on disk, and does to it, from another process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from zope.interface.verify import verifyObject

from mailstack.interfaces.spool import IQueueDesk, Result
from mailstack.model.deed import BOUNCE, DROP, HOLD, RELEASE, RETRY, VERBS, Deed
from mailstack.model.entry import Changed
from mailstack.model.reply import Reply
from mailstack.model.selection import EVERYTHING, Selection
from mailstack.spool import entries
from mailstack.spool.changes import CHANGES
from mailstack.spool.desk import QueueDesk
from tests.spool.contract import ALICE, LATER
from tests.spool.filled import Filled
from tests.spool.test_spool import open_spool

NOW = 5000.0


def deed(verb: str, reason: str = "") -> Deed:
    return Deed(verb, "root", NOW, reason)


class Desk:
    @pytest.fixture(autouse=True)
    def _desk(self, tmp_path: Path) -> None:
        self.queue = Filled(tmp_path)
        self.desk = QueueDesk(tmp_path)

    def ids(self, **chosen: Any) -> list[str]:
        return [each.id for each in self.desk.letters(Selection(**chosen))]

    def change(self, verb: str, *ids: str, reason: str = "", **chosen: Any) -> Changed:
        return self.desk.change(deed(verb, reason), ids, Selection(**chosen))

    def states(self, id: str) -> list[str]:
        return [
            state for (state,) in self.queue.rows(f"SELECT state FROM recipients WHERE id = '{id}' ORDER BY number")
        ]


class TestLooking(Desk):
    def test_it_is_a_queue_desk(self) -> None:
        assert verifyObject(IQueueDesk, self.desk)

    def test_without_a_database_the_queue_is_empty(self) -> None:
        assert list(self.desk.letters(EVERYTHING)) == []
        assert self.desk.entry("L1") is None and self.desk.history("L1") == []
        assert self.desk.choose(DROP, EVERYTHING) == {} and self.change(DROP, "L1") == Changed()
        assert self.desk.ages("domain", ["active"], [60.0], NOW).total == (0, 0)
        assert not (self.queue.data / "spool").exists(), "and nothing is made"

    def test_filters(self) -> None:
        self.queue.add("L1", "a@x.test", "b@sub.x.test", sender="One@far.test", arrived=1000.0)
        self.queue.add("L2", "c@y.test", sender="", arrived=2000.0)
        self.queue.add("L3", "odd_name@z.test", sender="two@far.test", arrived=3000.0)
        self.queue.defer("L1", 0)
        self.queue.defer("L3", reply=Reply(451, "4.7.1", "Greylisted, 100% sure"))
        assert self.ids() == ["L1", "L2", "L3"]
        assert self.ids(sender="") == ["L2"]
        assert self.ids(sender="one@FAR.test") == ["L1"], "whatever the case"
        assert self.ids(sender="*@far.test") == ["L1", "L3"]
        assert self.ids(recipient="*@x.test") == ["L1"]
        assert self.ids(recipient="*@*x.test") == ["L1"]
        assert self.ids(recipient="?@y.test") == ["L2"]
        assert self.ids(recipient="oddXname@z.test") == [], "what LIKE takes for more is plain"
        assert self.ids(recipient="odd_name@z.test") == ["L3"]
        assert self.ids(states=("deferred",)) == ["L1", "L3"]
        assert self.ids(states=("deferred", "active")) == ["L1", "L2", "L3"]
        assert self.ids(arrived_before=2000.0) == ["L1", "L2"]
        assert self.ids(arrived_after=2000.0) == ["L2", "L3"]
        self.queue.add("L4", account=ALICE)
        assert self.ids(account=str(ALICE)) == ["L4"] and self.ids(account="*") == [], "it is no pattern"
        assert self.desk.entry("L4").account == str(ALICE)  # type: ignore[union-attr]
        assert self.ids(reply="GREY") == ["L3"] and self.ids(reply="451 4.7.1 Grey") == ["L3"]
        assert self.ids(reply="0%") == ["L3"] and self.ids(reply="4%7") == []
        assert self.ids(destination="x.test") == ["L1"], "the fixture calls a destination as its domain"
        assert self.ids(destination="*.test", states=("deferred",), sender="two@*") == ["L3"]

    def test_a_domain_means_its_own_servers(self) -> None:
        self.queue.add("L1", "a@x.test")
        self.queue.add("L2", "a@y.test")
        self.queue.script("UPDATE recipients SET destination = 'mx:' || destination")
        assert self.ids(destination="x.test") == self.ids(destination="mx:x.test") == ["L1"]

    def test_all_filters_hold_for_the_same_recipient(self) -> None:
        self.queue.add("L1", "a@x.test", "b@y.test")
        self.queue.defer("L1", 0)
        assert self.ids(recipient="a@x.test", states=("active",)) == []

    def test_who_is_done_with_is_not_found(self) -> None:
        self.queue.add("L1", "a@x.test", "b@y.test")
        self.queue.settle("L1", Result(0, "sent", LATER))
        assert self.ids(recipient="a@x.test") == []

    def test_pages_and_a_limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(entries, "PAGE", 2)
        for number in range(5):
            self.queue.add(f"L{number}", "a@x.test", "b@x.test")
        assert self.ids() == [f"L{number}" for number in range(5)]
        for limit in range(1, 7):
            assert len(list(self.desk.letters(EVERYTHING, limit))) == min(limit, 5)

    def test_a_reader_that_takes_its_time_holds_nobody_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Between two pages there is no transaction: the log of the database can be copied, and begin anew."""
        monkeypatch.setattr(entries, "PAGE", 1)
        self.queue.add("L1")
        self.queue.add("L2")
        reading = self.desk.letters(EVERYTHING)
        assert next(reading).id == "L1"
        assert self.change(HOLD, "L2").recipients == 1
        assert self.queue.rows("PRAGMA wal_checkpoint(TRUNCATE)") == [(0, 0, 0)]
        assert [each.state for each in reading] == ["hold"]

    def test_the_envelope_and_what_happened(self) -> None:
        wishes = {"ret": "HDRS", "envid": "QQ", "smtputf8": True, "require_tls": True}
        self.queue.add("L1", "a@x.test", notify=("SUCCESS", "DELAY"), not_before=1050.0, **wishes)
        self.queue.defer("L1", at=1100.0)
        entry = self.desk.entry("L1")
        assert entry is not None
        assert (entry.ret, entry.envid, entry.smtputf8, entry.require_tls) == ("HDRS", "QQ", True, True)
        assert (entry.not_before, entry.released, entry.warned) == (1050.0, 1050.0, 0)
        (recipient,) = entry.recipients
        assert recipient.notify == {"SUCCESS", "DELAY"} and recipient.destination == "x.test"
        assert recipient.last_reply == "450 4.2.0 mailbox busy"
        (moment,) = self.desk.history("L1")
        assert (moment.at, moment.state, moment.by) == (1100.0, "deferred", "mx.x.test[192.0.2.1]:25")
        assert not moment.administrator and moment.reply == "450 4.2.0 mailbox busy"

    def test_the_beginning_of_an_id(self) -> None:
        self.queue.add("K0AB")
        self.queue.add("K0AC")
        assert self.desk.beginning("k0a") == ["K0AB", "K0AC"]
        assert self.desk.beginning("K0AC") == ["K0AC"]
        assert self.desk.beginning("0AC") == self.desk.beginning("%") == []

    def test_a_damaged_row_does_not_hide_the_others(self) -> None:
        self.queue.add("L1")
        self.queue.add("L2")
        self.queue.script("UPDATE recipients SET address = 'no address' WHERE id = 'L1'")
        assert self.ids() == ["L1", "L2"]
        entry = self.desk.entry("L1")
        assert entry is not None and str(entry.recipients[0].address) == '"no address"@damaged.invalid'
        assert self.change(DROP, "L1").ids == ("L1",)

    def test_ages(self) -> None:
        self.queue.add("L1", "a@x.test", "b@x.test", "c@y.test", arrived=NOW - 61, sender="one@far.test")
        self.queue.add("L2", "a@x.test", arrived=NOW - 60, sender="")
        self.queue.add("L3", '"a@b"@z.test', arrived=NOW + 10, sender="one@far.test")
        self.queue.settle("L1", Result(2, "bounced", LATER))

        def ages(by: str, *states: str) -> tuple[tuple[int, ...], dict[str, tuple[int, ...]]]:
            found = self.desk.ages(by, states or ("active", "deferred", "hold"), (60.0, 3600.0), NOW)
            return found.total, dict(found.rows)

        assert ages("domain") == ((2, 1, 0), {"x.test": (1, 1, 0), "z.test": (1, 0, 0)})
        assert ages("destination")[1] == ages("domain")[1]
        assert ages("sender")[1] == {"one@far.test": (1, 1, 0), "": (1, 0, 0)}
        assert ages("domain", "deferred") == ((0, 0, 0), {})
        assert ages("domain", "active")[0] == (2, 1, 0)


class TestChanging(Desk):
    def test_every_verb_is_known(self) -> None:
        assert set(CHANGES) == set(VERBS)

    def test_retry(self) -> None:
        self.queue.add("L1", "a@x.test", "b@x.test")
        self.queue.defer("L1", 0, 1)
        assert self.desk.choose(RETRY, EVERYTHING, ["L1", "NONE"]) == {"L1": 2}
        changed = self.change(RETRY, "L1", "NONE")
        assert (changed.ids, changed.recipients, changed.due) == (("L1",), 2, 0)
        entry = self.desk.entry("L1")
        assert entry is not None and entry.next_attempt == entry.arrived, "in line since it came"

    def test_hold_and_release(self) -> None:
        self.queue.add("L1", "a@x.test", "b@x.test", "c@x.test")
        self.queue.defer("L1", 0)
        self.queue.settle("L1", Result(2, "sent", LATER))
        assert self.change(HOLD, "L1").recipients == 2
        assert self.states("L1") == ["hold", "hold", "sent"]
        assert self.change(HOLD, "L1") == Changed()
        assert self.change(RETRY, "L1") == Changed()
        spool = open_spool(self.queue.data, self.queue.run)
        assert self.queue.run(spool.next_due(0.0)) is None
        spool.close()
        assert self.change(RELEASE, "L1").recipients == 2
        assert self.states("L1") == ["deferred", "active", "sent"]
        assert self.queue.rows("SELECT DISTINCT next_attempt FROM recipients WHERE number < 2") == [(NOW,)]

    def test_release_keeps_to_the_time_that_the_sender_wants(self) -> None:
        self.queue.add("L1", not_before=7000.0)
        self.change(HOLD, "L1")
        self.change(RELEASE, "L1")
        assert self.queue.rows("SELECT next_attempt FROM recipients") == [(7000.0,)]

    def test_what_has_lost_its_file_is_not_released(self) -> None:
        self.queue.add("L1")
        self.queue.add("L2")
        self.change(HOLD, "L1", "L2")
        (self.queue.data / "spool/messages/L1").unlink()
        changed = self.change(RELEASE, "L1", "L2")
        assert (changed.ids, changed.lost) == (("L2",), ("L1",))
        assert self.states("L1") == ["hold"]

    def test_drop(self) -> None:
        self.queue.add("L1", "a@x.test", "b@x.test")
        self.queue.add("L2")
        self.queue.settle("L1", Result(0, "bounced", LATER))
        assert self.change(DROP, "L1", "../queue.db").ids == ("L1",)
        assert self.ids() == ["L2"]
        assert self.queue.files == {"L2"}
        assert self.queue.rows("SELECT count(*) FROM history") == [(0,)]

    def test_what_is_dropped_altogether_was_not_sent(self) -> None:
        """So nothing of it is saved; of what has gone to somebody, it is."""
        for id in ("L1", "L2"):
            self.queue.add(id, "a@x.test", "b@y.test", sent_by=ALICE, not_before=NOW + 30.0)
        self.queue.settle("L2", Result(0, "sent", LATER))
        self.change(DROP, "L1", "L2")
        assert self.queue.rows("SELECT id FROM unsaved") == [("L2",)]
        assert self.queue.files == {"L2"}

    def test_drop_by_its_sender(self) -> None:
        self.queue.add("L1", "a@x.test", "b@y.test", account=ALICE)
        assert self.desk.change(deed(DROP), ["L1"], Selection(account="bob@office.test")) == Changed()
        mine = Deed(DROP, str(ALICE), NOW, own=True)
        changed = self.desk.change(mine, ["L1"], Selection(account=str(ALICE), recipient="*@y.test"))
        assert (changed.ids, changed.recipients) == (("L1",), 1)
        (moment,) = self.desk.history("L1")
        assert (moment.reply, moment.by, moment.administrator) == ("Dropped by its sender", str(ALICE), False)
        assert "Dropped by its sender" in self.queue.rows("SELECT fields FROM notes")[0][0]

    def test_drop_of_some_recipients(self) -> None:
        self.queue.add("L1", "a@x.test", "b@y.test")
        changed = self.change(DROP, "L1", recipient="*@y.test")
        assert (changed.ids, changed.recipients) == (("L1",), 1)
        assert self.states("L1") == ["active", "dropped"]
        entry = self.desk.entry("L1")
        assert entry is not None and entry.recipients[1].last_reply == "Dropped by the administrator"
        self.queue.settle("L1", Result(0, "sent", LATER))
        assert self.queue.files == set(), "nothing is left to do"

    def test_bounce(self) -> None:
        """The server finds that somebody is to be told."""
        self.queue.add("L1", "a@x.test", "b@x.test")
        self.queue.defer("L1", 0)
        self.queue.settle("L1", Result(1, "sent", LATER))
        assert self.change(BOUNCE, "L1", reason="wrong list").recipients == 1
        spool = open_spool(self.queue.data, self.queue.run)
        (outcome,) = self.queue.run(spool.unreported("L1")).values()
        spool.close()
        assert str(outcome.reply) == "554 5.7.0 Returned by the administrator: wrong list"
        assert (outcome.action, outcome.relay) == ("failed", "none")

    def test_bounce_of_what_nobody_wants_to_hear_of(self) -> None:
        self.queue.add("L1", "a@x.test", notify=("NEVER",))
        self.queue.add("L2", "a@x.test", notify=("DELAY", "FAILURE"))
        self.queue.add("L3", sender="")
        assert self.change(BOUNCE, "L1", "L2", "L3").untold == 1
        assert self.ids() == ["L2", "L3"] and self.states("L2") == ["bounced"]
        assert self.queue.files == {"L2", "L3"}

    def test_bounce_from_hold(self) -> None:
        self.queue.add("L1")
        self.change(HOLD, "L1")
        assert self.change(BOUNCE, "L1").due == 0
        assert self.states("L1") == ["bounced"]

    def test_what_was_due_may_be_on_its_way(self) -> None:
        self.queue.add("L1", "a@x.test", "b@x.test")
        self.queue.add("L2")
        self.queue.defer("L2", until=9000.0)
        assert self.change(HOLD, "L1", "L2").due == 1

    def test_only_what_still_matches_is_changed(self) -> None:
        self.queue.add("L1")
        found = self.desk.choose(HOLD, Selection(states=("active",)))
        self.queue.defer("L1")
        assert self.change(HOLD, *found, states=("active",)) == Changed()

    def test_it_stands_in_the_history(self) -> None:
        self.queue.add("L1", "a@x.test", "b@x.test")
        self.change(HOLD, "L1", reason="ask the boss")
        first, second = self.desk.history("L1")
        assert (first.number, second.number) == (0, 1)
        assert (first.at, first.state, first.by, first.administrator) == (NOW, "hold", "root", True)
        assert first.reply == "Put on hold by the administrator: ask the boss"

    @pytest.mark.parametrize(("state", "stays"), [("deferred", "hold"), ("bounced", "hold"), ("sent", "sent")])
    def test_what_is_decided_during_an_attempt_holds_unless_the_letter_has_arrived(
        self, state: str, stays: str
    ) -> None:
        self.queue.add("L1", "a@x.test", "b@x.test")
        self.change(HOLD, "L1", recipient="a@x.test")
        self.queue.settle("L1", Result(0, state, LATER, next_attempt=9000.0))
        assert self.states("L1") == [stays, "active"]

    def test_the_server_notices(self) -> None:
        self.queue.add("L1")
        spool = open_spool(self.queue.data, self.queue.run)
        self.queue.run(spool.changed())
        assert not self.queue.run(spool.changed())
        self.change(RETRY, "L1")
        assert self.queue.run(spool.changed())
        spool.close()

    def test_of_an_older_mailstack_it_is_read_but_not_changed(self) -> None:
        self.queue.add("L1")
        self.queue.script("ALTER TABLE messages DROP COLUMN not_before; DROP TABLE history; PRAGMA user_version = 2")
        before = (self.queue.data / "spool/queue.db").read_bytes()
        assert self.ids() == ["L1"] and self.desk.history("L1") == []
        assert self.desk.choose(DROP, EVERYTHING) == {"L1": 1}
        assert self.desk.ages("domain", ["active"], [60.0], NOW).total == (0, 1)
        with pytest.raises(OSError, match="start the server once"):
            self.change(DROP, "L1")
        assert (self.queue.data / "spool/queue.db").read_bytes() == before

    def test_a_database_that_is_none(self) -> None:
        self.queue.add("L1")
        (self.queue.data / "spool/queue.db").write_bytes(b"no database, but as long as one" * 100)
        with pytest.raises(OSError, match="queue database"):
            self.ids()
