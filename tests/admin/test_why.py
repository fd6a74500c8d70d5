"""What is told of a letter's life: lines of the history as values, and the command."""

from __future__ import annotations

import json
import os
import tomllib
from importlib import resources
from io import BytesIO, TextIOWrapper
from pathlib import Path
from random import Random
from typing import Any

import pytest

from mailstack.admin import why_story as story
from mailstack.admin.output import json_out
from mailstack.admin.trace import read_phrases
from mailstack.admin.why_search import Refusals
from mailstack.admin.why_sheet import Teller
from mailstack.admin.why_story import Beat, Copy, Life, Waiting, life, refusal, with_present
from mailstack.interfaces.delivery import GONE, KNOWN, SAVED
from mailstack.message.advice import Adviser
from mailstack.message.explain import LANGUAGES
from mailstack.model.ids import Ids
from mailstack.queue.sent import WORDS
from mailstack.queue.wording import read_dictionary
from mailstack.server.history_file import Event, append, day_of, encode, path_of
from tests.admin.office import NOW, Office

ID, OTHER = "K0YEACMR8AN7", "K0YEBTNPZ2MS"
TLS = "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384"
RECEIPT = {
    "client": "unknown[192.0.2.1]",
    "from": "<friend@far.test>",
    "size": "440",
    "proto": "ESMTPS",
    "helo": "<mx.far.test>",
    "message-id": "<m@far.test>",
}
SENT = {"to": "<alice@office.test>", "relay": "local", "delay": "0.06", "status": "sent (250 2.0.0 delivered)"}
FETCH = {"user": "<alice@office.test>", "rip": "192.168.1.7", "tls": TLS, "said": "STAT RETR DELE QUIT"}
LATER = {
    "to": "<bob@strict.test>",
    "relay": "mx.strict.test[192.0.2.9]:25",
    "dsn": "4.7.1",
    "status": "deferred (451 4.7.1 Greylisted (try later))",
}


def events(*lines: dict[str, str] | tuple[str, dict[str, str]]) -> list[Event]:
    """One second apart; a name in front is an id of its own."""
    pairs = [line if isinstance(line, tuple) else (ID, line) for line in lines]
    return [Event(NOW + number, id, fields) for number, (id, fields) in enumerate(pairs)]


def kinds(told: Life) -> list[str]:
    return [beat.kind for beat in told.beats]


# ---- Lines as values


def test_a_whole_life() -> None:
    fetched, deleted = ("pop3", {"what": "Fetched:", **FETCH}), ("pop3", {"what": "Deleted:", **FETCH})
    told = life(ID, events(RECEIPT, SENT, fetched, deleted))
    assert kinds(told) == ["received", "delivered", "fetched", "deleted"]
    assert told.begin is not None
    assert told.begin.facts["client"] == "192.0.2.1"
    assert told.begin.facts["from"] == "friend@far.test"
    assert told.begin.facts["tls"] == "yes"
    assert told.mailboxes == {"alice@office.test"}
    assert told.beats[3].facts["rip"] == "192.168.1.7"


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        (RECEIPT | {"sasl_username": "alice@office.test", "proto": "ESMTPSA"}, "submitted"),
        ({"uid": "0", "from": "<root@office.test>", "size": "9"}, "written"),
        (SENT | {"relay": "mx.far.test[192.0.2.9]:25"}, "relayed"),
        (LATER, "deferred"),
        (LATER | {"status": "bounced (550 5.1.1 No such user)"}, "bounced"),
        ({"from": "<a@b.test>", "status": "expired, returned to sender"}, "expired"),
        ({"what": f"sender non-delivery notification: {OTHER}"}, "reported"),
        ({"what": "forwarded", "from": "<SRS0=x@office.test>", "orig_to": "<sales@office.test>"}, "forwarded"),
        ({"what": "Dropped by the administrator: spam", "by": "root"}, "decided"),
        ({"what": "cannot deliver to a Maildir: disk on fire"}, "noted"),
        ({"relay": "x", "note": "once more without TLS: handshake failed"}, "noted"),
    ],
)
def test_kinds(fields: dict[str, str], kind: str) -> None:
    assert kinds(life(ID, events(fields))) == [kind]


@pytest.mark.parametrize(
    "line",
    [
        ("pop3", {"what": "Disconnected: Logged out", "retr": "1/440"}),
        {"what": "Verified TLS connection established to mx.far.test[192.0.2.9]:25: TLSv1.3"},
        {"status": "eaten (by the dog", "to": "<x@y.test>"},
        {},
    ],
)
def test_lines_that_add_nothing(line: Any) -> None:
    assert kinds(life(ID, events(line))) == []


def test_removed_for_its_age() -> None:
    told = life(ID, events(RECEIPT, SENT, ("pop3", {"what": "Expired:", "user": "<alice@office.test>"})))
    assert kinds(told) == ["received", "delivered", "aged"]
    assert [each.kind for each in with_present(told, (), (), NOW, looked=True).now] == ["removed"]


def test_the_report_knows_its_original() -> None:
    told = life(OTHER, events({"what": f"sender non-delivery notification: {OTHER}"}))
    assert (told.beats[0].kind, told.beats[0].facts["original"]) == ("report", ID)


def test_what_a_server_says_stays_in_its_place() -> None:
    """A reply that looks like a line of ours, with brackets."""
    (beat,) = life(ID, events(LATER | {"status": "deferred (451 no), to=<x@y.test>, status=sent (250 ok))"})).beats
    assert beat.kind == "deferred"
    assert beat.facts["to"] == "bob@strict.test"
    assert beat.facts["reply"] == "451 no), to=<x@y.test>, status=sent (250 ok)"


def test_again_and_again_is_told_once() -> None:
    other = LATER | {"to": "<carl@strict.test>"}
    told = life(ID, events(LATER | {"delay": "1"}, other, LATER | {"delay": "2"}, LATER, SENT))
    assert kinds(told) == ["deferred", "deferred", "delivered"]
    first = told.beats[0]
    assert (first.times, first.time, first.until) == (3, NOW, NOW + 3)


def test_only_what_concerns_one_recipient() -> None:
    """Also those to whom an alias leads, and their programs."""
    alias = SENT | {"orig_to": "<sales@office.test>"}
    bobs = ("pop3", {"what": "Fetched:", **FETCH, "user": "<bob@office.test>"})
    lines = events(RECEIPT, alias, LATER, ("pop3", {"what": "Fetched:", **FETCH}), bobs)
    assert kinds(life(ID, lines, "Sales@office.test")) == ["received", "delivered", "fetched"]
    assert kinds(life(ID, lines, "bob@strict.test")) == ["received", "deferred"]


def test_what_has_become_of_it() -> None:
    told = life(ID, events(RECEIPT, SENT))
    seen = Copy("alice@office.test", "Junk", True, "/x")
    assert [each.kind for each in with_present(told, [seen], (), NOW, looked=True).now] == ["read"]
    assert [each.kind for each in with_present(told, (), (), NOW, looked=True).now] == ["gone"]
    assert [each.kind for each in with_present(told, (), (), NOW, looked=False).now] == []
    deleted = life(ID, events(RECEIPT, SENT, ("pop3", {"what": "Deleted:", **FETCH})))
    assert [each.kind for each in with_present(deleted, (), (), NOW, looked=True).now] == ["removed"]
    waiting = [Waiting("a@b.test", "deferred", NOW + 60), Waiting("c@d.test", "hold", None)]
    now = with_present(Life(ID, (), ()), (), waiting, NOW, looked=True).now
    assert [(each.kind, each.time) for each in now] == [("waits", NOW + 60), ("held", NOW)]


def test_refusal() -> None:
    fields = {
        "what": "reject: RCPT from mx.far.test[192.0.2.1]: 550 5.1.1 No; such user;",
        "from": "<friend@far.test>",
        "to": "<alcie@office.test>",
        "helo": "<mx.far.test>",
    }
    first, last = Event(NOW, "NOQUEUE", fields), Event(NOW + 9, "NOQUEUE", fields)
    told = refusal(Refusals(first, last, 2))
    assert (told.time, told.until, told.times) == (NOW, NOW + 9, 2)
    assert told.facts["client"] == "mx.far.test [192.0.2.1]"
    assert told.facts["reply"] == "550 5.1.1 No; such user"


@pytest.mark.parametrize("language", LANGUAGES)
def test_there_is_a_sentence_for_each_kind(language: str) -> None:
    """Whatever facts are missing, as files may have been edited."""
    teller = Teller(read_phrases(language, "why"), Adviser(read_dictionary(language)), NOW)
    names = {name: value for name, value in vars(story).items() if name.isupper() and isinstance(value, str)}
    assert len(names) > 15
    required = {"to": "a@b.test", "user": "u", "uid": "0", "report": OTHER, "original": OTHER}
    for kind in names.values():
        facts = {**required, "what": "sender delay warning", "path": "/x", "said": "QUIT", "reply": "550 5.1.1 No"}
        assert teller.sentence(Beat(NOW, kind, facts))
        assert list(teller.details(Beat(NOW, kind, facts, NOW, 2)))


def test_sentences_are_in_every_language() -> None:
    text = (resources.files("mailstack.message") / "meaning/why.toml").read_text("utf-8")
    table = tomllib.loads(text)
    assert [(kind, name) for kind in table for name, said in table[kind].items() if set(said) != set(LANGUAGES)] == []


# ---- The command


class Past:
    """What a server has written that day."""

    def __init__(self, office: Office) -> None:
        self.folder = office.folder / "data/state/history"
        self.folder.mkdir(parents=True)
        self.time = NOW - 3600
        self.new_id = Ids(lambda: self.time, Random(1).getrandbits)

    def say(self, id: str, fields: dict[str, str]) -> None:
        self.time += 1
        append(path_of(self.folder, day_of(self.time)), encode([(self.time, id, [fields], {})]).encode())

    def letter(self, *lines: dict[str, str]) -> str:
        id = self.new_id()
        for fields in (RECEIPT, *lines):
            self.say(id, fields)
        return id


@pytest.fixture
def past(office: Office) -> Past:
    return Past(office)


def inbox(office: Office, id: str, place: str = "new", flags: str = "") -> Path:
    folder = office.folder / "data/mail/office.test/alice" / place
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"1795534061.Q{id}.mail.office.test,S=424,W=440{flags}"
    path.touch()
    return path


def test_who_deleted_it(office: Office, past: Past) -> None:
    id = past.letter(SENT)
    past.say("pop3", {"what": "Fetched:", **FETCH, "ids": id})
    past.say("pop3", {"what": "Deleted:", **FETCH, "ids": id})
    done = office.run("why", "alice@office.test")
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    for words in (
        id,
        "from friend@far.test  440 octets  Message-ID <m@far.test>",
        "came in from 192.0.2.1, which calls itself mx.far.test, over TLS",
        "put into the mailbox of alice@office.test 0.06 s after it began to come in",
        "fetched by POP3 by alice@office.test from 192.168.1.7, over TLSv1.3\n",
        "deleted by POP3 by alice@office.test from 192.168.1.7",
        "STAT RETR DELE QUIT",
        "letters on the server",
        "is not in the mailbox of alice@office.test any more\n",
        "POP3 programs do not tell their names.",
        "The history begins on 2026-11-24.",
    ):
        assert " ".join(words.split()) in said


def test_how_long_it_took_to_come_in(office: Office, past: Past) -> None:
    """Where that was worth a word."""
    slow = past.letter(SENT | {"delays": "75.20/0.00/0.00/0.01"})
    fast = past.letter(SENT | {"delays": "0.20/0.00/0.00/0.01"})
    assert "over TLS; that took 1 min 15 s" in office.run("why", slow).output
    assert "over TLS\n" in office.run("why", fast).output
    (told,) = office.json("why", fast)
    assert told["events"][0]["took"] == "0.20"


def test_a_folder_that_pop3_has_opened(office: Office, past: Past) -> None:
    id = past.letter(SENT)
    past.say("pop3", {"what": "Fetched:", **FETCH, "folder": "Junk", "ids": id})
    assert "by alice@office.test in the folder Junk from 192.168.1.7" in office.run("why", id).output


@pytest.mark.parametrize(("fate", "kind"), [(SAVED, "saved"), (KNOWN, "saved_before"), (GONE, "not_saved")])
def test_what_becomes_of_the_copy_for_the_sender(fate: str, kind: str) -> None:
    """By the words of the log itself."""
    (told,) = life(ID, events({"what": WORDS[fate], "folder": "<alice@office.test/Sent>"})).beats
    assert (told.kind, told.facts["user"], told.facts["folder"]) == (kind, "alice@office.test", "Sent")


def test_a_copy_in_the_folder_of_who_has_sent_it(office: Office, past: Past) -> None:
    sent = {"what": "saved in", "folder": "<alice@office.test/Sent>"}
    id = past.letter({**SENT, "to": "<bob@office.test>"}, sent)
    inbox(office, id, ".Sent/cur", ":2,S")
    said = office.run("why", id).output
    assert "saved for alice@office.test, who has sent it, in the folder Sent" in said
    assert "now  is in the folder Sent of alice@office.test, marked as read" in said
    assert "folder Sent" not in office.run("why", "bob@office.test").output


def test_a_folder_in_any_script(office: Office, past: Past) -> None:
    id = past.letter(SENT)
    inbox(office, id, ".Work.&V4NXPpCuTvY-/cur")
    assert "is in the folder Work/垃圾邮件 of alice@office.test" in office.run("why", id).output


def test_letters_without_a_queue_id(office: Office, past: Past) -> None:
    """Imported ones: who fetched and deleted them, and how many."""
    office.users.write_text("alice@office.test:{PLAIN}x\n")
    past.say("pop3", {"what": "Fetched:", **FETCH, "others": "30"})
    past.say("pop3", {"what": "Deleted:", **FETCH, "others": "2"})
    past.say("pop3", {"what": "Expired:", "user": "<alice@office.test>", "others": "7"})
    past.say("pop3", {"what": "Deleted:", **FETCH, "user": "<bob@office.test>", "others": "5"})
    said = office.run("why", "alice").output
    assert said.startswith("Letters without a queue id: imported")
    assert "fetched by POP3 by alice@office.test from 192.168.1.7, over TLSv1.3 (letters: 30)" in said
    assert "deleted by POP3 by alice@office.test from 192.168.1.7, over TLSv1.3 (letters: 2)" in said
    assert "older than [pop3] expire allows (letters: 7)" in said
    assert "bob" not in said and "Letters: 0. Refusals: 0." in said
    (told,) = office.json("why", "alice")
    assert told["id"] is None
    assert [(each["what"], each["others"]) for each in told["events"]] == [
        ("fetched", "30"),
        ("deleted", "2"),
        ("aged", "7"),
    ]
    assert "（30 封）" in office.run("why", "alice", "--lang", "zh").output  # noqa: RUF001
    assert "without a queue id" in office.run("why", "alice", "--last", "2").output
    assert office.run("why", "alice", "--from", "friend@far.test").exit_code == 1


def test_a_program_that_also_sends(office: Office, past: Past) -> None:
    """POP3 has no names, but SMTP has: what is known of the same account at the same address, and of no other."""
    id = past.letter(SENT)
    past.say("pop3", {"what": "Fetched:", **FETCH, "ids": id})
    past.say("pop3", {"what": "Deleted:", **FETCH, "ids": id})
    for rip, user, helo in (
        ("192.168.1.7", "alice", "<old-phone>"),
        ("192.168.1.7", "alice", "<alices-phone>"),
        ("192.168.1.8", "alice", "<pc>"),
        ("192.168.1.7", "bob", "<bobs>"),
    ):
        past.letter({**RECEIPT, "client": f"unknown[{rip}]", "helo": helo, "sasl_username": f"{user}@office.test"})
    said = " ".join(office.run("why", id).output.split())
    assert "also sends mail, by a program that calls its machine alices-phone." in said
    assert said.count("calls its machine") == 1
    (told,) = office.json("why", id)
    assert told["events"][2]["sends_as"] == "alices-phone"


def test_where_it_is(office: Office, past: Past) -> None:
    id = past.letter(SENT)
    path = inbox(office, id)
    assert f"Which way it came here:\n        mailstack trace {path}\n" in (
        said := office.run("why", id.lower()).output
    )
    assert "is in the inbox of alice@office.test; no program has marked it as read" in said
    path.unlink()
    inbox(office, id, ".Junk/cur", ":2,S")
    assert "is in the folder Junk of alice@office.test, marked as read" in office.run("why", id).output
    (office.folder / "data/mail/office.test/alice/.Junk/cur").rename(office.folder / "elsewhere")
    assert "another program, or somebody by hand" in office.run("why", id).output


def test_he_never_got_it(office: Office, past: Past) -> None:
    """A typing mistake: refused at the door, and what that means."""
    what = "reject: RCPT from unknown[192.0.2.1]: 550 5.1.1 No such user here;"
    past.say("NOQUEUE", {"what": what, "from": "<friend@far.test>", "to": "<alcie@office.test>"})
    said = office.run("why", "alcie@office.test", "--from", "friend@far.test", "--since", "1d").output
    assert "refused  from friend@far.test to alcie@office.test" in said
    assert "550 5.1.1 No such user here" in said
    assert "What to do: Check the address for typing mistakes" in said
    chinese = office.run("why", "alcie@office.test", "--lang", "zh").output
    assert "拒收" in chinese and "怎么办" in chinese


def test_why_is_it_late(office: Office, past: Past) -> None:
    """It waits, and nothing of that is only in the history."""
    office.queue.add(OTHER, "bob@strict.test", sender="alice@office.test")
    past.say(OTHER, LATER)
    past.say(OTHER, LATER)
    for words in (["bob@strict.test"], [OTHER], ["bob@strict.test", "--from", "alice@office.test"]):
        said = office.run("why", *words).output
        assert "451 4.7.1 Greylisted (try later)" in said
        assert "2 times, the last one at" in said
        assert "What to do: If it lasts:" in said
        assert "waits in the queue for bob@strict.test; the next try is at" in said


def test_a_letter_without_history(office: Office) -> None:
    """What the queue knows is told in any case."""
    office.queue.add(OTHER, "bob@strict.test")
    said = office.run("why", "bob@strict.test").output
    assert "how it came here is not in the history" in said
    assert "waits in the queue" in said


def test_a_report(office: Office, past: Past) -> None:
    """Nobody has sent it to us, and it says whose it is."""
    report = past.new_id()
    past.say(ID, {"what": f"sender non-delivery notification: {report}"})
    said = office.run("why", report).output
    assert f"this is our report that the letter {ID} was not delivered" in said
    assert "not in the history" not in said


def test_json(office: Office, past: Past) -> None:
    id = past.letter(SENT)
    past.say("NOQUEUE", {"what": "reject: RCPT from unknown[192.0.2.1]: 550 5.7.1 No;", "to": "<alice@office.test>"})
    letter, refused = office.json("why", "alice@office.test")
    assert (letter["id"], letter["sender"], letter["size"]) == (id, "friend@far.test", 440)
    assert [event["what"] for event in letter["events"]] == ["received", "delivered"]
    assert letter["events"][1]["to"] == "alice@office.test"
    assert [event["what"] for event in letter["now"]] == ["gone"]
    assert refused["id"] is None
    assert refused["events"][0]["reply"] == "550 5.7.1 No"
    assert set(letter) == set(refused)


def test_json_of_nothing(office: Office, past: Past) -> None:
    """One array, as of every verb that lists; the exit code tells."""
    done = office.run("why", "nobody@far.test", "--json")
    assert (done.exit_code, json.loads(done.stdout)) == (1, [])


def test_nothing(office: Office, past: Past) -> None:
    """How far back it is known what happened, and what may be wrong."""
    past.letter(SENT)
    office.users.parent.mkdir(exist_ok=True)
    office.users.write_text("alice@office.test:*\n")
    office.aliases.touch()
    done = office.run("why", "nobody@office.test")
    assert done.exit_code == 1
    assert "nothing is known of nobody@office.test" in done.output
    assert "begins on 2026-11-24 ([log] keep = 30d)" in done.output
    assert "there is no such address here" in done.output
    assert "no such address" not in office.run("why", "friend@far.test").output


def test_nothing_is_kept(office: Office) -> None:
    assert "there is no history yet" in office.run("why", "alice@office.test").output
    office.ini.write_text(f"{office.ini.read_text()}[log]\nkeep = 0s\n")
    assert "[log] keep = 0s" in office.run("why", "alice@office.test").output


def test_a_day_that_was_full(office: Office, past: Past) -> None:
    past.letter(SENT)
    office.ini.write_text(f"{office.ini.read_text()}[log]\nkeep_size = 100\n")
    said = office.run("why", "alice@office.test").output
    assert "On 2026-11-24 more happened than [log] keep_size has room for" in said


@pytest.mark.parametrize("since", ["1h", "2026-11-24", "2026-11-24 10:00", "2026-11-24 10:00:00", "2026-11-24T10:00"])
def test_since(office: Office, past: Past, since: str) -> None:
    past.letter(SENT)
    assert office.run("why", "alice@office.test", "--since", since).exit_code == 0
    assert office.run("why", "alice@office.test", "--since", "5s").exit_code == 1


@pytest.mark.parametrize("words", [[], ["a@b.test", "--since", "soon"], ["a@b.test", "--last", "0"]])
def test_wrong_usage(office: Office, words: list[str]) -> None:
    assert office.run("why", *words).exit_code == 64


def test_nobody_steers_the_terminal(office: Office, past: Past) -> None:
    id = past.new_id()
    past.say(id, RECEIPT | {"helo": "<\x1b[31m>", "message-id": "<\x1b]0;x\x07>"})
    past.say(id, SENT | {"status": "bounced (550 \x1b[2J)"})
    assert "\x1b" not in office.run("why", id).output


def test_many_recipients_fit_on_a_screen(office: Office, past: Past) -> None:
    id = past.letter(*[SENT | {"to": f"<user{number}@office.test>"} for number in range(100)])
    said = office.run("why", id).output
    assert "(61 more are not shown)" in said
    assert "user0@" in said and "user99@" in said and "put into the mailbox of user50@" not in said


def test_file_whose_name_is_no_text(office: Office, past: Past) -> None:
    """Whoever may rename letters, with a shell or another program, stops no report; and no escape gets through."""
    id = past.letter(SENT)
    file = inbox(office, id)
    file.rename(os.fsdecode(os.fsencode(file) + b"\xff\x1b[2J"))
    plain = office.run("why", id)
    assert plain.exit_code == 0, plain.output
    assert "\x1b" not in plain.output
    (told,) = office.json("why", id)
    assert told["now"][0]["path"].endswith("\udcff\x1b[2J")


def test_json_of_what_is_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is where the locale is one of UTF-8: nothing but UTF-8 goes out."""
    output = TextIOWrapper(BytesIO(), "utf-8", "strict")
    monkeypatch.setattr("sys.stdout", output)
    json_out(["\udcff", "字"])
    output.flush()
    assert json.loads(output.buffer.getvalue().decode("utf-8")) == ["\udcff", "字"]  # type: ignore[attr-defined]
