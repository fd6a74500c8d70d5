"""The part of a report that people read: what happened, who must act, and how; in each language of the voice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attrs import frozen

from mailstack.message.advice import WAIT, Advice
from mailstack.message.filled import filled
from mailstack.message.moment import moment
from mailstack.message.one_line import one_line
from mailstack.message.original import subject_of, zone_of
from mailstack.message.report_occasion import Fate, Occasion
from mailstack.message.voice import Voice, Wording
from mailstack.model.reply import Reply

MAX_LISTED = 100  #: recipients of one kind that are explained; all stand in the part for programs
MAX_WORDS = 900  #: characters of a server's reply
MAX_ADDRESS = 320  #: characters

#: The template of each action, the gravest first: so they are told, and so the report is called.
SECTIONS = {
    "failed": "failure",
    "delayed": "delay",
    "delivered": "success",
    "relayed": "relayed",
    "expanded": "expanded",
}
DIVIDER = "-" * 30


@frozen
class HumanPart:
    subject: str
    text: str
    languages: str


def human_part(voice: Voice, occasion: Occasion, fates: Sequence[Fate], header: bytes) -> HumanPart:
    """``header`` is the original's, LF line ends."""
    gravest = next(template for action, template in SECTIONS.items() if _of(fates, action))
    tellers = [_Teller(each, voice, occasion, header) for each in voice.texts(gravest)]
    texts = [teller.text(fates, brief=number > 0) for number, teller in enumerate(tellers)]
    subject = tellers[0].wording.templates[gravest].subject_with(tellers[0].values(fates))
    return HumanPart(subject, f"\n\n{DIVIDER}\n\n".join(texts) + "\n", voice.languages(gravest))


@frozen
class _Teller:
    """Tells of one message in one language."""

    wording: Wording
    voice: Voice
    occasion: Occasion
    header: bytes

    def text(self, fates: Sequence[Fate], brief: bool) -> str:
        sections = [self._section(name, told, brief) for name, told in _sections(fates)]
        sections.append(self.wording.templates["closing"].body_with(self.values(fates)))
        return "\n\n".join(filter(None, sections))

    def _section(self, name: str, told: Sequence[Fate], brief: bool) -> str:
        values = {**self.values(told), "recipients": _recipients(self.wording, told, brief)}
        return self.wording.templates[name].body_with(values)

    def values(self, told: Sequence[Fate]) -> dict[str, str]:
        """By placeholder, but for the recipients."""
        letter = self.occasion.letter
        return {
            "subject": subject_of(self.header) or self.wording.dictionary.word("sentences", "(no subject)"),
            "sent": self._moment(letter.arrived),
            "until": self._moment(told[0].until or self.occasion.now),
            "sender": one_line(letter.sender.unicode if letter.sender else "", MAX_ADDRESS),
            "id": letter.id,
            "hostname": self.occasion.hostname,
            "postmaster": one_line(self.occasion.postmaster.unicode, MAX_ADDRESS),
        }

    def _moment(self, time: float) -> str:
        """By the sender's clock, where it is known."""
        return moment(time, zone_of(self.header) or self.voice.zone(time), self.wording.language)


def _sections(fates: Sequence[Fate]) -> Iterator[tuple[str, list[Fate]]]:
    """By template, and what is tried for as long as each other."""
    for action, name in SECTIONS.items():
        told = _of(fates, action)
        for until in dict.fromkeys(fate.until for fate in told):
            yield name, [fate for fate in told if fate.until == until]


def _of(fates: Sequence[Fate], action: str) -> list[Fate]:
    return [fate for fate in fates if fate.action == action]


def _recipients(wording: Wording, fates: Sequence[Fate], brief: bool) -> str:
    """Those who share a fate stand together, above what is to be said of it."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for fate in fates[:MAX_LISTED]:
        lines = tuple(_explained(wording, fate, brief))
        groups.setdefault(lines, []).append(_title(wording, fate))
    blocks = ["\n".join([*titles, *lines]) for lines, titles in groups.items()]
    more = len(fates) - MAX_LISTED
    if more > 0:
        text = "and {} more recipients, who are listed in the delivery report below."
        blocks.append(filled(wording.dictionary.word("sentences", text).replace("{}", str(more))))
    return "\n\n".join(blocks)


def _title(wording: Wording, fate: Fate) -> str:
    recipient = fate.recipient
    address = f"<{one_line(recipient.address.unicode, MAX_ADDRESS)}>"
    if recipient.original == recipient.address:
        return address
    original = one_line(recipient.original.unicode, MAX_ADDRESS)
    dictionary = wording.dictionary
    return f"{address}{dictionary.aside(dictionary.word('fates', 'sent to {}').replace('{}', original))}"


def _explained(wording: Wording, fate: Fate, brief: bool) -> Iterator[str]:
    for label, text in _facts(wording, fate, brief):
        yield filled(f"{label}{wording.dictionary.colon}{text}", "  ", "    ")


def _facts(wording: Wording, fate: Fate, brief: bool) -> Iterator[tuple[str, str]]:
    """``brief``: without the server's words, which were quoted already."""
    reply, word = fate.outcome.reply, wording.dictionary.word
    if fate.action in ("failed", "delayed"):
        advice = wording.adviser.advice(reply, ours=fate.outcome.relay == "local")
        yield word("fates", "What happened"), advice.happened
        yield from _to_do(wording, fate, advice)
    if reply.code and not brief:
        yield _who_said(wording, fate), one_line(_without_recipient(reply, fate), MAX_WORDS)


def _to_do(wording: Wording, fate: Fate, advice: Advice) -> Iterator[tuple[str, str]]:
    """What is tried again needs nobody, unless it is our own server that stands in its way."""
    dictionary = wording.dictionary
    who, sentences = advice.who, [advice.act]
    if fate.action == "delayed" and advice.now:
        sentences.append("Meanwhile we try again by ourselves.")
    elif fate.action == "delayed":
        who, sentences = WAIT, ["You need not do anything: we try again by ourselves."]
    elif not fate.outcome.reply.permanent:
        sentences.insert(0, "We have tried for the whole time allowed.")
    yield dictionary.word("fates", "Who must act"), wording.adviser.who(who)
    told = (dictionary.word("sentences", sentence) for sentence in sentences)
    yield dictionary.word("fates", "What to do"), dictionary.gap.join(told)


def _who_said(wording: Wording, fate: Fate) -> str:
    if not fate.remote:
        return wording.dictionary.word("fates", "The answer")
    relay = one_line(fate.outcome.relay, MAX_ADDRESS)
    return wording.dictionary.word("fates", "The answer of {}").replace("{}", relay)


def _without_recipient(reply: Reply, fate: Fate) -> str:
    """So that those to whom the same was said stand together; the address stands above."""
    return str(reply).replace(str(fate.recipient.address), "…")
