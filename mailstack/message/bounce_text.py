"""The text of a report, from servers that have no part for programs in it, or of which only the text was pasted.

They have habits: a recipient stands at the beginning of a line, and what is said about it behind; another server is
quoted behind a colon or in quotation marks, or a line begins with the code.
"""

# ruff: noqa: RUF001, RUF003 - Chinese punctuation

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from attrs import evolve, frozen

from mailstack.message.one_line import one_line
from mailstack.model.reply import Reply

MAX_LINES = 2_000  #: of a text that are looked at
MAX_LINE = 2_000  #: characters
MAX_PARAGRAPH = 6_000  #: characters
MAX_WORDS = 900  #: characters of a server's reply
MAX_RECIPIENTS = 1_000


@frozen
class Told:
    """What a report says of one recipient."""

    recipient: str  #: "" where it is not named
    action: str  #: of RFC 3464 §2.3.3; "failed" where nothing else is said
    reply: Reply  #: code 0 and status "" where they are not said; ``text`` are the words
    remote: str = ""  #: the server that said so


_ADDRESS = r"[^\s<>@\"'()\[\]:;,，。（）：；“”]{1,64}@(?:[\w-]{1,63}\.){1,10}\w{2,63}"
#: Postfix "<a@b>: …", qmail "<a@b>:", Exim and sendmail "  a@b", Exchange "a@b (a@b)", NetEase "收件人：a@b".
_HEADING = re.compile(
    r"\s*(?:[*•-]\s?)?(?:(?:to|recipients?|(?:原)?收件人(?:邮件)?(?:地址)?|收件地址)\s?[:：(（]\s?)?"
    rf"(?:<(?:mailto:)?(?P<bracketed>{_ADDRESS})>|(?P<bare>{_ADDRESS}))(?=[\s:：)）(（,，]|$)",
    re.IGNORECASE,
)
#: In the middle of a sentence: Gmail "wasn't delivered to a@b because …", QQ "收件人邮件地址（a@b）不存在".
_INLINE = re.compile(
    r"(?:delivered to|message to|sent to|recipient|address|收件人|地址|用户|发送到|投递到)"
    rf"\s?[:：(（<“\"']?\s?<?({_ADDRESS})",
    re.IGNORECASE,
)
#: Behind these comes the message itself.
_END = re.compile(
    r"-+ ?(this is a copy of|below this line is a copy|original message|the body of the message"
    r"|message headers? follow|returned message|message header|原邮件|原始邮件)"
    r"|original message headers:|\s*Reporting-MTA:|^Received: from ",
    re.IGNORECASE,
)

_CODE = r"[245][0-5][0-9]"
_ENHANCED = r"[245]\.[0-9]{1,3}\.[0-9]{1,3}(?![\w.]*\w)"
#: Where a reply begins: at a line's start or behind a quotation, where a code alone is one; both codes anywhere.
_START = re.compile(
    rf"(?:^[\s<'\"(]{{0,8}}|<<< ?|[:：=]\s?['\"]|[:：=]\s+|\s['\"])(?={_CODE}(?:[ -]|$))"
    rf"|(?<![\w.])(?={_CODE}[ -]+#?{_ENHANCED})",
    re.MULTILINE,
)
_REPLY = re.compile(rf"({_CODE})(?:[ -]+#?({_ENHANCED}))?")
#: An enhanced code alone: qmail "(#5.1.1)", "Status: 5.1.1", "#5.1.1", "smtp;5.1.1".
_ALONE = re.compile(rf"(?:(?<![\w.])|(?<=#)){_ENHANCED}")
#: Which is not an address of an old host or a version.
_BEFORE_NUMBER = re.compile(r"(?:version|v|ver\.?|rfc)\s?$", re.IGNORECASE)
_WARNING = re.compile(
    r"only a warning|a warning message|warning: |not (?:yet been|been) delivered (?:yet|for)|"
    r"delivery (?:is |has been )?delayed|"
    r"(?:will|to) (?:continue|keep|be) (?:to )?(?:try|trying|retr)|will be retried|still being retried|"
    r"(?<!不会再)(?:继续|自动)(?:尝试|重试|投递)|延迟",
    re.IGNORECASE,
)
_SAID = re.compile(
    r"\bhost ([\w.-]{4,253})\s?[\[(]|while talking to ([\w.-]{1,253}\w)|\bserver ([\w-]{1,63}\.[\w.-]{1,250}\w)",
    re.IGNORECASE,
)


def reply_in(text: str) -> Reply | None:
    """The reply that is quoted in a paragraph, with all that follows it as its words; None: there is none."""
    found = [reply for start in _START.finditer(text) if (reply := _reply_at(text, start.end())) is not None]
    if found:
        return max(found, key=_weight)
    for alone in _ALONE.finditer(text):
        if not _BEFORE_NUMBER.search(text[: alone.start()][-10:]):
            words = f"{text[: alone.start()].rstrip('(# ')} {text[alone.end() :].lstrip(') ')}"
            return Reply(0, alone[0], _words(words))
    return None


def _reply_at(text: str, start: int) -> Reply | None:
    found = _REPLY.match(text, start)
    if found is None:
        return None
    code, status = found[1], found[2] or ""
    words = text[found.end() :]
    # Each line of a reply repeats its codes: "550-5.1.1 The account … 550 5.1.1 that you …".
    again = rf"\s{code}[ -]" + (rf"(?:{re.escape(status)}\s?)?" if status else "")
    return Reply(int(code), status, _words(re.sub(again, " ", words)))


def _words(text: str) -> str:
    words = one_line(text.strip(" -:\n\t'\""), MAX_WORDS)
    return words[:-1] if words.endswith(")") and words.count(")") > words.count("(") else words


def _weight(reply: Reply) -> tuple[bool, bool, bool]:
    return bool(reply.status), bool(reply.code), bool(reply.text)


def read_text(text: str, named: Sequence[str] = ()) -> list[Told]:
    """``named`` are recipients that the header names. Each recipient once."""
    found: dict[str, Told] = {}
    for recipient, paragraphs in _sections(text):
        told = _told(recipient, paragraphs)
        known = found.get(told.recipient.lower())
        if known is None or _weight(told.reply) > _weight(known.reply):
            found[told.recipient.lower()] = told
    general = found.pop("", None)
    if named or not found:
        inline = [found[1] for found in _INLINE.finditer(text[: MAX_LINES * 100])]
        for each in list(named) or inline[:1]:
            found.setdefault(each.lower(), Told(each, "failed", Reply(0, "", "")))
    if not found and general is not None and any(_weight(general.reply)):
        found[""] = general
    action = "delayed" if _WARNING.search(text[: MAX_LINES * 100]) else "failed"
    return [evolve(_completed(told, general), action=action) for told in found.values()][:MAX_RECIPIENTS]


def _completed(told: Told, general: Told | None) -> Told:
    """Where nothing is said behind the name, what is said without one."""
    if any(_weight(told.reply)[:2]) or general is None or not any(_weight(general.reply)[:2]):
        return told
    return evolve(told, reply=general.reply, remote=general.remote)


def _sections(text: str) -> Iterator[tuple[str, list[str]]]:
    """Recipients, "" in front of the first, and the paragraphs behind them, lines apart."""
    recipient, paragraphs, lines = "", list[str](), list[str]()
    for line in [*text.replace("\r\n", "\n").split("\n")[:MAX_LINES], None]:
        heading = _HEADING.match(line[:MAX_LINE]) if line else None
        # Postfix breaks a reply where it repeats the address.
        heading = heading if heading and not (lines and _named(heading) == recipient) else None
        ended = line is None or _END.match(line[:MAX_LINE])
        if (ended or heading or not (line or "").strip()) and lines:
            paragraphs.append("\n".join(lines)[:MAX_PARAGRAPH])
            lines = []
        if ended or heading:
            yield recipient, paragraphs
            recipient, paragraphs = _named(heading) if heading else "", []
        if ended or line is None:
            return
        rest = line[heading.end() :].lstrip(" ):：）") if heading else line
        lines += [rest[:MAX_LINE]] if rest.strip() else []


def _named(heading: re.Match[str]) -> str:
    return heading["bracketed"] or heading["bare"]


def _told(recipient: str, paragraphs: Sequence[str]) -> Told:
    replies = [(reply, each) for each in paragraphs if (reply := reply_in(each)) is not None]
    if not replies:
        return Told(recipient, "failed", Reply(0, "", _words(" ".join(paragraphs)) if recipient else ""))
    reply, paragraph = max(replies, key=lambda found: _weight(found[0]))
    host = _SAID.search(paragraph)
    return Told(recipient, "failed", reply, next(filter(None, host.groups()), "") if host else "")
