"""``mailstack explain``: what a reply, or a report that came back, means, and who can do what."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from attrs import frozen

from mailstack.admin.output import clean, json_out
from mailstack.admin.session import language
from mailstack.admin.site import Failed
from mailstack.message.advice import NOBODY, WAIT, Adviser
from mailstack.message.bounce import MAX_OCTETS, read_bounce
from mailstack.message.bounce_text import Told, reply_in
from mailstack.message.explain import LANGUAGES, Dictionary
from mailstack.message.filled import filled
from mailstack.message.one_line import one_line
from mailstack.model.reply import Reply
from mailstack.queue.wording import read_dictionary

MAX_SHOWN = 900  #: characters of a server's words

#: ``550``, ``5.1.1``, ``550 5.1.1``, ``550-5.1.1 and words``.
_CODES = re.compile(r"\s*(?:([2-5][0-9]{2})(?:[ -]+|$))?#?(?:([245]\.[0-9]{1,3}\.[0-9]{1,3})(?:\s+|$))?(.*)", re.DOTALL)


@click.command(short_help="What does this code, or a pasted bounce, mean?")
@click.argument("what", nargs=-1, required=True, metavar="CODE|TEXT|FILE|-")
@click.option("--lang", type=click.Choice(LANGUAGES), help="The language.  [default: the locale's, else en]")
@click.option("--json", "as_json", is_flag=True, help="One JSON array, an object a recipient.")
def explain(what: tuple[str, ...], lang: str | None, as_json: bool) -> None:
    """What happened, who must act, and what to do: of a code, of a server's words, or of a report in a file.

    \b
    mailstack explain 550 5.1.1
    mailstack explain "550 5.7.26 unauthenticated email from example.com"
    mailstack explain bounce.eml       (- is standard input; any server's will do)

    Exit code 0: it could be understood, 1: it could not, 64: it is neither a code nor a file.
    """
    adviser = Adviser(read_dictionary(lang or language(os.environ)))
    told = _told(what, adviser)
    explained = [_explained(each, adviser) for each in told]
    if as_json:
        json_out([each.as_object() for each in explained])
    else:
        click.echo("\n\n".join(_page(each, adviser) for each in explained))


def _page(explained: Explained, adviser: Adviser) -> str:
    return "\n".join(clean(line) for text in explained.sheet(adviser) for line in text.split("\n"))


# ---- What is asked


def _told(what: Sequence[str], adviser: Adviser) -> list[Told]:
    text = " ".join(what)
    reply = _given(text)
    if reply is not None:
        return [Told("", "", reply)]
    if what == ("-",):
        return _report(sys.stdin.buffer.read(MAX_OCTETS), "standard input")
    if len(what) == 1 and (Path(text).exists() or not re.search(r"\s", text)):
        return _file(text, adviser)
    reply = reply_in(text) or Reply(0, "", text)
    if not reply.code and not reply.status and not adviser.advice(reply).exact:
        raise Failed(clean(f"no code is in it, and the words are none that are known: {one_line(text, 100)}"))
    return [Told("", "", reply)]


def _given(text: str) -> Reply | None:
    """A code, perhaps with words."""
    found = _CODES.fullmatch(text)
    if found is None or not (found[1] or found[2]):
        return None
    return Reply(int(found[1] or 0), found[2] or "", one_line(found[3], MAX_SHOWN))


def _file(name: str, adviser: Adviser) -> list[Told]:
    path = Path(name)
    if not path.exists():
        if adviser.advice(Reply(0, "", name)).exact:
            return [Told("", "", Reply(0, "", name))]
        wrong = "is neither a code, such as 550 or 5.1.1, nor a file"
        raise click.UsageError(clean(f"{one_line(name, 100)!r} {wrong}."))
    with path.open("rb") as file:
        return _report(file.read(MAX_OCTETS), name)


def _report(octets: bytes, name: str) -> list[Told]:
    told = read_bounce(octets)
    if not told:
        raise Failed(clean(f"{name}: there is no report in it that could be understood"))
    return told


# ---- What is answered


@frozen
class Explained:
    told: Told
    happened: str
    who: str  #: a word of ``advice``
    act: str
    source: str
    known: bool

    def as_object(self) -> dict[str, object]:
        reply = self.told.reply
        return {
            "recipient": self.told.recipient or None,
            "action": self.told.action or None,
            "code": reply.code or None,
            "status": reply.status or None,
            "words": reply.text or None,
            "server": self.told.remote or None,
            "known": self.known,
            "happened": self.happened,
            "who": self.who,
            "act": self.act,
            "source": self.source,
        }

    def sheet(self, adviser: Adviser) -> Iterator[str]:
        dictionary, told = adviser.dictionary, self.told
        yield self._title(adviser)
        facts = [("What happened", self.happened), ("Who must act", adviser.who(self.who)), ("What to do", self.act)]
        for label, text in facts:
            yield _fact(dictionary.word("fates", label), text, dictionary)
        if told.action and _shown(told.reply):
            label = dictionary.word("fates", "The answer of {}").replace("{}", told.remote)
            label = label if told.remote else dictionary.word("fates", "The answer")
            yield _fact(label, _shown(told.reply), dictionary)
        yield _fact(dictionary.word("fates", "See also"), self.source, dictionary)

    def _title(self, adviser: Adviser) -> str:
        if not self.told.action:
            return _shown(self.told.reply)
        word = adviser.dictionary.word
        recipient = f"<{self.told.recipient}>" if self.told.recipient else word("fates", "not named")
        name = f"{word('fates', 'Recipient')}{adviser.dictionary.colon}{recipient}"
        return f"{name}{adviser.dictionary.aside(word('fates', self.told.action))}"


def _fact(label: str, text: str, dictionary: Dictionary) -> str:
    return filled(f"{label}{dictionary.colon}{text}", "  ", "    ")


def _shown(reply: Reply) -> str:
    words = (str(reply.code or ""), reply.status, reply.text)
    return one_line(" ".join(filter(None, words)), MAX_SHOWN)


def _explained(told: Told, adviser: Adviser) -> Explained:
    dictionary, reply = adviser.dictionary, told.reply
    if not reply.code and not reply.status:
        reply = Reply(0, "4.0.0" if told.action == "delayed" else "5.0.0", reply.text)
    advice = adviser.advice(reply)
    happened, act, who = advice.happened, advice.act, advice.who
    if not advice.exact:
        named = "This code is not known; its first digit says so much:"
        said = told.reply.code or told.reply.status
        note = named if said else "No code is named, and the words are none that are known."
        happened = dictionary.gap.join([dictionary.word("sentences", note), *([happened] if said else [])])
    if told.action in ("", "delayed") and reply.full_status.startswith("4") and not advice.now and who != NOBODY:
        who, act = WAIT, dictionary.gap.join([dictionary.word("sentences", "If it lasts:"), act])
    return Explained(told, happened, who, act, advice.source, advice.exact)
