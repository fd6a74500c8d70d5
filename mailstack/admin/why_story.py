"""Makes an account of a letter's life of what the history has, the queue and the Maildirs: pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from attrs import evolve, field, frozen

from mailstack.admin.why_search import ENDS_WITH_ID, Refusals
from mailstack.model.reply import Reply
from mailstack.server.history_file import Event

# What can happen to a letter; the sentences of ``why.toml`` have these names.
RECEIVED, SUBMITTED, WRITTEN, REFUSED = "received", "submitted", "written", "refused"
DELIVERED, RELAYED, DEFERRED, BOUNCED, EXPIRED = "delivered", "relayed", "deferred", "bounced", "expired"
REPORTED, REPORT, FORWARDED, DECIDED, NOTED = "reported", "report", "forwarded", "decided", "noted"
TOPPED, FETCHED, DELETED, AGED = "topped", "fetched", "deleted", "aged"
SAVED, SAVED_BEFORE, NOT_SAVED = "saved", "saved_before", "not_saved"
# What has become of it by now.
WAITS, HELD, UNREAD, READ, GONE, REMOVED = "waits", "held", "unread", "read", "gone", "removed"

#: What may happen any number of times, and facts that are not the same then.
AGAIN, PASSING = (DEFERRED, TOPPED, FETCHED), ("delay", "delays")
#: Done by a POP3 program.
POP3 = {"Topped:": TOPPED, "Fetched:": FETCHED, "Deleted:": DELETED}

_STATUS = re.compile(r"(\w+)(?: \((.*)\))?\Z", re.DOTALL)
_REPLY = re.compile(r"([2-5][0-9]{2})(?: ([245]\.[0-9]{1,3}\.[0-9]{1,3}))?(?: |\Z)(.*)", re.DOTALL)
_REJECT = re.compile(r"reject: (\w+) from (\S+\[[^\]\s]*\]): (.*?);?\Z", re.DOTALL)
_REPORTS = ("sender non-delivery notification", "sender delay warning", "sender delivery status notification")
_CLIENT = re.compile(r"(\S*)\[([^\]]*)\]\Z")
_ADDRESS_KEYS = ("to", "orig_to", "from", "user")

Facts = Mapping[str, str]


@frozen
class Beat:
    """One thing that happened, ``times`` times in a row until ``until``."""

    time: float  #: Unix time
    kind: str
    facts: Facts = field(factory=dict)
    until: float = 0.0
    times: int = 1


@frozen
class Copy:
    """A letter's file in a Maildir."""

    user: str  #: whose
    folder: str  #: of Maildir++, "" for the inbox
    seen: bool
    path: str


@frozen
class Waiting:
    """A recipient in the queue."""

    to: str
    state: str  #: active, deferred, hold
    next_attempt: float | None


@frozen
class Life:
    """``now`` is what has become of it, by recipient."""

    id: str
    beats: Sequence[Beat]
    now: Sequence[Beat]

    @property
    def begin(self) -> Beat | None:
        return next((beat for beat in self.beats if beat.kind in (RECEIVED, SUBMITTED, WRITTEN)), None)

    @property
    def time(self) -> float:
        """Unix time at which the first thing happened of which we know."""
        return min((beat.time for beat in (*self.beats, *self.now)), default=0.0)

    @property
    def mailboxes(self) -> set[str]:
        """The accounts into whose Maildirs it was put: those of recipients, and of who has sent it."""
        delivered = {beat.facts["to"] for beat in self.beats if beat.kind == DELIVERED}
        return delivered | {beat.facts["user"] for beat in self.beats if beat.kind == SAVED}


def reply_of(text: str) -> Reply:
    """As it stands in a line of the log; code 0 where there is none."""
    found = _REPLY.match(text)
    return Reply(int(found[1]), found[2] or "", found[3]) if found else Reply(0, "", text)


# ---- What a line says


def beat(event: Event, id: str) -> Beat | None:
    """Of a line that is about this letter; None: it adds nothing."""
    what = event.field("what")
    if event.id == "pop3" and what == "Expired:":
        return Beat(event.time, AGED, _facts(event, "user", "others"))
    if event.id == "pop3":
        kind = POP3.get(what)
        facts = _facts(event, "user", "rip", "tls", "said", "folder", "others")
        return None if kind is None else Beat(event.time, kind, facts)
    report = _report(event, id)
    if report is not None:
        return report
    if "status" in event.fields:
        return _outcome(event)
    if "client" in event.fields and "size" in event.fields:
        return _receipt(event)
    if "uid" in event.fields:
        return Beat(event.time, WRITTEN, _facts(event, "uid", "from", "size", "message-id"))
    if what == "forwarded":
        return Beat(event.time, FORWARDED, _facts(event, "from", "orig_to"))
    if "folder" in event.fields:
        return _sent_copy(event)
    if "by" in event.fields:
        return Beat(event.time, DECIDED, _facts(event, "what", "by"))
    text = " ".join(filter(None, (what, event.field("note"))))
    return Beat(event.time, NOTED, {"what": text}) if text and "TLS connection established" not in text else None


def _report(event: Event, id: str) -> Beat | None:
    what = event.field("what")
    found = ENDS_WITH_ID.search(what)
    kind = what[: found.start()] if found else ""
    if found is None or kind not in _REPORTS:
        return None
    if event.id == id:
        return Beat(event.time, REPORTED, {"report": found[1], "what": kind})
    return Beat(event.time, REPORT, {"original": event.id, "what": kind})


def _receipt(event: Event) -> Beat:
    login = event.field("sasl_username")
    facts = _facts(event, "from", "size", "message-id", "helo", "proto")
    protected = "S" in event.field("proto").rpartition("SMTP")[2]
    client = _CLIENT.search(event.field("client"))
    facts |= {"client": _host(client) if client else event.field("client"), "tls": "yes" if protected else "no"}
    return Beat(event.time, SUBMITTED if login else RECEIVED, {**facts, **({"login": login} if login else {})})


def _host(client: re.Match[str]) -> str:
    """A name is there only where a proxy knows one."""
    return client[2] if client[1] in ("", "unknown") else f"{client[1]} [{client[2]}]"


def _outcome(event: Event) -> Beat | None:
    found = _STATUS.match(event.field("status"))
    if found is None:
        return Beat(event.time, EXPIRED) if event.field("status").startswith("expired") else None
    status, said = found[1], found[2] or ""
    facts = {**_facts(event, "to", "orig_to", "relay", "delay", "delays", "dsn"), "reply": said}
    if status == "sent":
        return Beat(event.time, DELIVERED if event.field("relay") == "local" else RELAYED, facts)
    kinds = {"deferred": DEFERRED, "bounced": BOUNCED}
    return Beat(event.time, kinds.get(status, NOTED), {**facts, "what": event.field("status")})


def _sent_copy(event: Event) -> Beat:
    """For the Sent folder of who has sent it, ``<alice@office.test/Sent>``; what the log says of it begins so."""
    what = event.field("what")
    user, _, folder = event.field("folder").removeprefix("<").removesuffix(">").rpartition("/")
    if what == "saved in":
        kind = SAVED
    elif what.startswith("not saved, as a letter with its Message-ID"):
        kind = SAVED_BEFORE
    else:
        kind = NOT_SAVED
    return Beat(event.time, kind, {"user": user, "folder": folder, "what": what.removesuffix(":")})


def _facts(event: Event, *names: str) -> dict[str, str]:
    """Of these what there is; addresses without their brackets."""
    found = {name: event.fields[name] for name in names if event.fields.get(name)}
    return {
        name: text.removeprefix("<").removesuffix(">") if name in (*_ADDRESS_KEYS, "helo", "message-id") else text
        for name, text in found.items()
    }


def refusal(found: Refusals) -> Beat:
    event = found.last
    facts = _facts(event, "from", "to", "helo", "sasl_username")
    what = _REJECT.match(event.field("what"))
    if what is not None:
        client = _CLIENT.search(what[2])
        facts |= {"verb": what[1], "client": _host(client) if client else what[2], "reply": what[3]}
    else:
        facts |= {"verb": "", "client": "", "reply": event.field("what")}
    return Beat(found.first.time, REFUSED, facts, found.last.time, found.times)


# ---- A life


def life(id: str, events: Iterable[Event], account: str = "") -> Life:
    """``account``: only what concerns this recipient, an address; "": all."""
    beats = [found for event in events if (found := beat(event, id)) is not None]
    if account:
        beats = _of_recipient(beats, account)
    return Life(id, merged(_with_duration(beats)), ())


def nameless(events: Iterable[Event]) -> Life:
    """What POP3 did with letters that have no queue id: such a life has none either. ``others`` is how many."""
    return Life("", merged([found for event in events if (found := beat(event, "")) is not None]), ())


def _with_duration(beats: Sequence[Beat]) -> list[Beat]:
    """How long it took to come in, in seconds: the first of the ``delays`` of an attempt."""
    took = next((each.facts["delays"].partition("/")[0] for each in beats if "delays" in each.facts), "")
    began = (RECEIVED, SUBMITTED)
    return [evolve(each, facts={**each.facts, "took": took}) if took and each.kind in began else each for each in beats]


def _of_recipient(beats: Sequence[Beat], account: str) -> list[Beat]:
    """Also those to whom an alias leads."""
    names = {account.casefold()}
    names |= {
        each.facts["to"].casefold()
        for each in beats
        if "to" in each.facts and each.facts.get("orig_to", "").casefold() in names
    }

    def concerns(each: Beat) -> bool:
        named = [each.facts[key].casefold() for key in ("to", "orig_to", "user") if key in each.facts]
        return not named or not names.isdisjoint(named)

    return [each for each in beats if concerns(each)]


def merged(beats: Sequence[Beat]) -> list[Beat]:
    """What happens again and again in the same way is told once, at its first time."""
    found: dict[object, Beat] = {}
    for number, each in enumerate(beats):
        key = _way(each) if each.kind in AGAIN else number
        before = found.get(key)
        if before is None:
            found[key] = evolve(each, until=each.time)
        else:
            found[key] = evolve(before, until=max(before.until, each.time), times=before.times + 1)
    return list(found.values())


def _way(beat: Beat) -> object:
    return beat.kind, frozenset((name, text) for name, text in beat.facts.items() if name not in PASSING)


def callers(lives: Iterable[Life]) -> set[tuple[str, str]]:
    """Who has used POP3, and from which IP addresses."""
    used = (beat for life in lives for beat in life.beats if beat.kind in POP3.values())
    return {(beat.facts["user"], beat.facts["rip"]) for beat in used if "user" in beat.facts and "rip" in beat.facts}


def with_greetings(life: Life, greetings: Mapping[tuple[str, str], str]) -> Life:
    """``greetings`` by :func:`callers`; each is told once."""
    left = dict(greetings)

    def greeted(beat: Beat) -> Beat:
        if beat.kind not in POP3.values():
            return beat
        helo = left.pop((beat.facts.get("user", ""), beat.facts.get("rip", "")), "")
        return evolve(beat, facts={**beat.facts, "sends_as": helo.strip("<>")}) if helo else beat

    return evolve(life, beats=[greeted(beat) for beat in life.beats])


def with_present(life: Life, copies: Sequence[Copy], waiting: Sequence[Waiting], now: float, looked: bool) -> Life:
    """``looked``: the Maildirs could be read, so what is not in ``copies`` is not there."""
    return evolve(life, now=[*_waiting(waiting, now), *_copies(life, copies, now, looked)])


def _waiting(waiting: Sequence[Waiting], now: float) -> Iterator[Beat]:
    for each in waiting:
        due = each.next_attempt
        yield Beat(due if due is not None else now, HELD if each.state == "hold" else WAITS, {"to": each.to})


def _copies(life: Life, copies: Sequence[Copy], now: float, looked: bool) -> Iterator[Beat]:
    there = {copy.user.casefold() for copy in copies}
    for copy in copies:
        facts = {"user": copy.user, "folder": copy.folder, "path": copy.path}
        yield Beat(now, READ if copy.seen else UNREAD, facts)
    deleted = {each.facts.get("user", "").casefold() for each in life.beats if each.kind in (DELETED, AGED)}
    for user in sorted(life.mailboxes) if looked else ():
        if user.casefold() not in there:
            yield Beat(now, REMOVED if user.casefold() in deleted else GONE, {"user": user})
