"""What hostile, broken and odd servers do, and what must come of it.

A script is a sequence of acts. ``octets``: say them. ``Hear``: wait for a line of the client that begins so. ``Data``:
wait for the end of data. ``Pause``: seconds go by. ``CLOSE``: close politely; ``RESET``: without a farewell. When the
script is over, the server is silent for as long as anybody waits.
"""

from __future__ import annotations

from attrs import field, frozen

from mailstack.model.outcome import Delayed, Delivered, Failed, Outcome


@frozen
class Hear:
    verb: str


@frozen
class Pause:
    seconds: float


@frozen
class Data:
    pass


@frozen
class Close:
    reset: bool = False


CLOSE, RESET = Close(), Close(reset=True)
Act = bytes | Hear | Pause | Data | Close


@frozen
class Row:
    """``status`` is the enhanced code, ``words`` are in the text of the outcome. ``recipients`` may have outcomes of
    their own: ``kinds``."""

    name: str
    acts: tuple[Act, ...]
    kind: type[Outcome]
    status: str
    words: str = ""
    kinds: tuple[type[Outcome], ...] = ()
    lmtp: bool = False
    live: bool = True  #: over sockets, too; else only where time can be turned
    cut: bool = True  #: may arrive octet by octet, too; else it is the early answer that matters
    recipients: int = field(init=False)

    @recipients.default
    def _of_kinds(self) -> int:
        return len(self.kinds) or 1


def lines(*texts: str) -> bytes:
    return "".join(f"{text}\r\n" for text in texts).encode()


def drip(octets: bytes, seconds: float) -> tuple[Act, ...]:
    """One octet after the other."""
    return tuple(act for octet in octets for act in (bytes([octet]), Pause(seconds)))


def greeted(*extensions: str) -> tuple[Act, ...]:
    names = [f"250-{name}" for name in extensions]
    return (lines("220 fake"), Hear("EHLO"), lines("250-fake", *names, "250 HELP"))


def content(*extensions: str) -> tuple[Act, ...]:
    """Up to the 354."""
    ok = lines("250 ok")
    return (*greeted(*extensions), Hear("MAIL"), ok, Hear("RCPT"), ok, Hear("DATA"), lines("354 go"))


def taken(*answer: Act) -> tuple[Act, ...]:
    """The whole letter, and this answer."""
    return (*content(), Data(), *answer)


PIPELINED = (*greeted("PIPELINING"), Hear("DATA"))
LHLO = (lines("220 fake"), Hear("LHLO"), lines("250-fake", "250 PIPELINING"), Hear("DATA"), lines("250 ok"))
LONG = b"x" * 65_536
TEN_THOUSAND = b"-and so on\r\n"
ODD = "Protocol error"
UNEXPECTED = "Unexpected reply"
LOST = "Lost the connection"

GREETINGS = (
    Row("closes at once", (CLOSE,), Delayed, "4.4.2", LOST),
    Row("resets at once", (RESET,), Delayed, "4.4.2", LOST, live=False),
    Row("says nothing", (), Delayed, "4.4.2", "while waiting for the greeting", live=False),
    Row("554", (lines("554 go away"),), Failed, "5.0.0", "go away"),
    Row("554 and closes", (lines("554 go away"), CLOSE), Failed, "5.0.0", "go away"),
    Row("421", (lines("421 4.3.2 too busy"),), Delayed, "4.3.2", "too busy"),
    Row("421 and resets", (lines("421 too busy"), RESET), Delayed, "4.0.0", "too busy", live=False),
    Row("250", (lines("250 hello"),), Delayed, "4.5.0", UNEXPECTED),
    Row("354", (lines("354 go"),), Delayed, "4.5.0", UNEXPECTED),
    Row("334", (lines("334 "),), Delayed, "4.5.0", UNEXPECTED),
    Row("000", (lines("000 hello"),), Delayed, "4.5.0", ODD),
    Row("999", (lines("999 hello"),), Delayed, "4.5.0", ODD),
    Row("120", (lines("120 soon"),), Delayed, "4.5.0", ODD),
    Row("2200", (lines("2200 hello"),), Delayed, "4.5.0", ODD),
    Row("22", (lines("22 hello"),), Delayed, "4.5.0", ODD),
    Row("digits of another script", ("٢٢٠ hello\r\n".encode(),), Delayed, "4.5.0", ODD),
    Row("HTTP", (lines("HTTP/1.1 400 Bad Request", "Connection: close", ""),), Delayed, "4.5.0", "HTTP/1.1"),
    Row("SSH", (lines("SSH-2.0-OpenSSH_9.2p1"),), Delayed, "4.5.0", "SSH-2.0"),
    Row("POP3", (lines("+OK ready"),), Delayed, "4.5.0", "+OK"),
    Row("TLS alert", (b"\x15\x03\x01\x00\x02\x02\x46\r\n",), Delayed, "4.5.0", ODD),
    Row("an empty line", (lines(""),), Delayed, "4.5.0", ODD),
    Row("NUL", (b"\0\0\0\0\r\n",), Delayed, "4.5.0", "????"),
    Row("two codes", (lines("220-hello", "554 no"),), Delayed, "4.5.0", "two codes, 220 and 554"),
    Row("10,000 lines", (b"".join([b"220", TEN_THOUSAND]) * 10_000,), Delayed, "4.5.0", "200 lines"),
    Row("65,536 octets", (b"220 " + LONG + b"\r\n",), Delayed, "4.5.0", "4096 octets"),
    Row("a line without an end", (b"220 " + LONG,), Delayed, "4.5.0", "4096 octets"),
    Row("a line with CR alone", (b"220 hello\r250 hello\r",), Delayed, "4.4.2", "Timed out", live=False),
    Row("one octet a second", drip(b"220-" + b"x" * 400, 1), Delayed, "4.4.2", "Timed out after 300 s", live=False),
    Row("half a reply", (b"220 hel", CLOSE), Delayed, "4.4.2", LOST),
    Row(
        "all answers before the commands",
        (lines("220 hi", "250 hi", "250 ok", "250 ok", "354 go", "250 done"),),
        Delayed,
        "4.5.0",
        "before its command",
        cut=False,
    ),
    Row("answer to EHLO before it", (lines("220 hi", "250 hi"),), Delayed, "4.5.0", "before its command", cut=False),
)

HELLOS = (
    Row("closes after the greeting", (lines("220 fake"), CLOSE), Delayed, "4.4.2", LOST),
    Row("closes after EHLO", (lines("220 fake"), Hear("EHLO"), CLOSE), Delayed, "4.4.2", "waiting for EHLO"),
    Row(
        "knows neither EHLO nor HELO",
        (lines("220 fake"), Hear("EHLO"), lines("502 no"), Hear("HELO"), lines("502 no")),
        Failed,
        "5.0.0",
        "no",
    ),
    Row("EHLO 220", (lines("220 fake"), Hear("EHLO"), lines("220 fake")), Delayed, "4.5.0", UNEXPECTED),
    Row("EHLO 354", (lines("220 fake"), Hear("EHLO"), lines("354 fake")), Delayed, "4.5.0", UNEXPECTED),
    Row("EHLO 421", (lines("220 fake"), Hear("EHLO"), lines("421 bye"), CLOSE), Delayed, "4.0.0", "bye"),
    Row(
        "EHLO with 10,000 lines",
        (lines("220 fake"), Hear("EHLO"), b"".join([b"250", TEN_THOUSAND]) * 10_000),
        Delayed,
        "4.5.0",
        "200 lines",
    ),
    Row("SIZE of twenty digits", (*content("SIZE 99999999999999999999"), Data(), lines("250 ok")), Delivered, "2.0.0"),
    Row("SIZE of 4,000 digits", (*content("SIZE " + "9" * 4_000), Data(), lines("250 ok")), Delivered, "2.0.0"),
    Row("SIZE below zero", (*content("SIZE -1"), Data(), lines("250 ok")), Delivered, "2.0.0"),
    Row("SIZE without sense", (*content("SIZE=1 KB", "SIZE", "SIZE ٣"), Data(), lines("250 ok")), Delivered, "2.0.0"),
    Row("SIZE 1", greeted("SIZE 1"), Failed, "5.3.4", "it takes 1"),
    Row("AUTH without sense", (*content("AUTH=\0 PLAIN =LOGIN", "AUTH"), Data(), lines("250 ok")), Delivered, "2.0.0"),
    Row(
        "LIMITS RCPTMAX=0",
        (*content("LIMITS RCPTMAX=0 MAILMAX=0 RCPTDOMAINMAX=0"), Data(), lines("250 ok")),
        Delivered,
        "2.0.0",
    ),
    Row("LIMITS below zero", (*content("LIMITS RCPTMAX=-1 MAILMAX=-1"), Data(), lines("250 ok")), Delivered, "2.0.0"),
    Row(
        "LIMITS without sense",
        (*content("LIMITS RCPTMAX RCPTMAX= =1 RCPTMAX=1e9"), Data(), lines("250 ok")),
        Delivered,
        "2.0.0",
    ),
    Row(
        "keywords without end", (*content(*(f"X{n}" for n in range(190))), Data(), lines("250 ok")), Delivered, "2.0.0"
    ),
    Row("empty keywords", (*content("", " ", "=", "-"), Data(), lines("250 ok")), Delivered, "2.0.0"),
    Row("a keyword that is none", (*content("\x1b[31mSIZE 1"), Data(), lines("250 ok")), Delivered, "2.0.0"),
    Row(
        "STARTTLS refused",
        (*greeted("STARTTLS"), Hear("STARTTLS"), lines("454 no"), Hear("MAIL"), lines("550 5.7.1 no")),
        Failed,
        "5.7.1",
    ),
    Row(
        "STARTTLS and an injection",
        (*greeted("STARTTLS"), Hear("STARTTLS"), lines("220 go", "250-fake", "250 HELP", "250 ok")),
        Delayed,
        "4.5.0",
        "before its command",
        cut=False,
    ),
    Row(
        "STARTTLS and half an injection",
        (*greeted("STARTTLS"), Hear("STARTTLS"), b"220 go\r\n25"),
        Delayed,
        "4.5.0",
        "before its command",
        cut=False,
    ),
    Row("STARTTLS and then closes", (*greeted("STARTTLS"), Hear("STARTTLS"), CLOSE), Delayed, "4.4.2", LOST),
)

ENVELOPES = (
    Row("closes after MAIL", (*greeted(), Hear("MAIL"), CLOSE), Delayed, "4.4.2", "waiting for MAIL"),
    Row("MAIL 251", (*greeted(), Hear("MAIL"), lines("251 ok")), Delayed, "4.5.0", UNEXPECTED),
    Row("MAIL 354", (*greeted(), Hear("MAIL"), lines("354 go")), Delayed, "4.5.0", UNEXPECTED),
    Row("MAIL 550", (*greeted(), Hear("MAIL"), lines("550 5.7.1 no")), Failed, "5.7.1", "no"),
    Row("MAIL 450", (*greeted(), Hear("MAIL"), lines("450 4.7.1 later")), Delayed, "4.7.1", "later"),
    Row("MAIL 421", (*greeted(), Hear("MAIL"), lines("421 4.7.0 bye"), CLOSE), Delayed, "4.7.0", "bye"),
    Row(
        "closes after RCPT",
        (*greeted(), Hear("MAIL"), lines("250 ok"), Hear("RCPT"), CLOSE),
        Delayed,
        "4.4.2",
        "waiting for RCPT",
    ),
    Row(
        "RCPT 354",
        (*greeted(), Hear("MAIL"), lines("250 ok"), Hear("RCPT"), lines("354 go")),
        Delayed,
        "4.5.0",
        UNEXPECTED,
    ),
    Row(
        "RCPT 299",
        (
            *greeted(),
            Hear("MAIL"),
            lines("250 ok"),
            Hear("RCPT"),
            lines("299 so be it"),
            Hear("DATA"),
            lines("354 go"),
            Data(),
            lines("250 ok"),
        ),
        Delivered,
        "2.0.0",
    ),
    Row(
        "RCPT 599",
        (*greeted(), Hear("MAIL"), lines("250 ok"), Hear("RCPT"), lines("599 never")),
        Failed,
        "5.0.0",
        "never",
    ),
    Row(
        "answers twice",
        (*greeted(), Hear("MAIL"), lines("250 ok", "250 ok")),
        Delayed,
        "4.5.0",
        "before its command",
        cut=False,
    ),
    Row("DATA 550", (*content()[:-1], lines("550 5.7.1 no")), Failed, "5.7.1", "no"),
    Row("DATA 451", (*content()[:-1], lines("451 4.3.0 no")), Delayed, "4.3.0", "no"),
    Row("DATA 250", (*content()[:-1], lines("250 ok")), Delayed, "4.5.0", UNEXPECTED),
    Row("closes after DATA", (*content()[:-1], CLOSE), Delayed, "4.4.2", "waiting for DATA"),
    Row("too few answers", (*PIPELINED, lines("250 ok", "250 ok")), Delayed, "4.4.2", "Timed out", live=False),
    Row("too few answers, and closes", (*PIPELINED, lines("250 ok", "250 ok"), CLOSE), Delayed, "4.4.2", LOST),
    Row(
        "too many answers",
        (*PIPELINED, lines("250 ok", "250 ok", "354 go", "250 ok")),
        Delayed,
        "4.5.0",
        "before its command",
        cut=False,
    ),
    Row("MAIL and all else refused", (*PIPELINED, lines("550 5.7.1 no", "503 no", "503 no")), Failed, "5.7.1", "no"),
    Row(
        "MAIL refused, and 354",
        (*PIPELINED, lines("550 5.7.1 no", "250 ok", "354 go"), Data(), lines("250 ok")),
        Failed,
        "5.7.1",
        "no",
    ),
    Row(
        "each recipient its own",
        (*PIPELINED, lines("250 ok", "250 ok", "550 5.1.1 no", "450 4.2.1 later", "354 go"), Data(), lines("250 ok")),
        Delivered,
        "2.0.0",
        kinds=(Delivered, Failed, Delayed),
    ),
    Row(
        "good answers, then 5xx to DATA",
        (*PIPELINED, lines("250 ok", "250 ok", "550 5.1.1 no", "554 5.7.1 no")),
        Failed,
        "5.7.1",
        kinds=(Failed, Failed),
    ),
)

CONTENTS = (
    Row("354 and closes", (*content(), CLOSE), Delayed, "4.4.2", LOST),
    Row("354 and resets", (*content(), RESET), Delayed, "4.4.2", LOST),
    Row("takes all and closes", taken(CLOSE), Delayed, "4.4.2", "waiting for the end of data"),
    Row("takes all and resets", taken(RESET), Delayed, "4.4.2", LOST),
    Row("takes all and never answers", taken(), Delayed, "4.4.2", "Timed out after 600 s", live=False),
    Row("250 and resets", taken(lines("250 2.0.0 taken"), RESET), Delivered, "2.0.0", "taken"),
    Row("250 and nonsense", taken(lines("250 2.0.0 taken", "nonsense")), Delivered, "2.0.0", "taken"),
    Row("250 and 554", taken(lines("250 2.0.0 taken", "554 not at all")), Delivered, "2.0.0", "taken"),
    Row("half a 250", taken(b"250 2.0.0 tak", CLOSE), Delayed, "4.4.2", LOST),
    Row("the beginning of a 250", taken(lines("250-taken"), CLOSE), Delayed, "4.4.2", LOST),
    Row("250 without a text", taken(lines("250")), Delivered, "2.0.0"),
    Row("250 with LF alone", taken(b"250 2.0.0 taken\n"), Delivered, "2.0.0", "taken"),
    Row("250 that says 5.1.1", taken(lines("250 5.1.1 no such user")), Delivered, "2.0.0"),
    Row("550 that says 2.0.0", taken(lines("550 2.0.0 fine")), Failed, "5.0.0", "fine"),
    Row("354 again", taken(lines("354 more")), Delayed, "4.5.0", UNEXPECTED),
    Row("000", taken(lines("000 ok")), Delayed, "4.5.0", ODD),
    Row("999", taken(lines("999 ok")), Delayed, "4.5.0", ODD),
    Row("421", taken(lines("421 4.3.2 bye"), CLOSE), Delayed, "4.3.2", "bye"),
    Row("552 in the middle", (*content(), lines("552 5.3.4 too big")), Failed, "5.3.4", "too big"),
    Row(
        "escape sequences",
        taken(lines("550 5.7.1 \x1b[2J\x1b]0;owned\x07 no\x7f\x9b31m")),
        Failed,
        "5.7.1",
        "?[2J?]0;owned?",
    ),
    Row(
        "a line break for the log",
        taken(b"550 5.7.1 no\rK0AAAA: to=<x>, status=sent\r\n"),
        Failed,
        "5.7.1",
        "no?K0AAAA",
    ),
    Row("NUL in the text", taken(b"550 5.7.1 a\0b\r\n"), Failed, "5.7.1", "a?b"),
    Row("UTF-8", taken("550 5.7.1 用户不存在 grüße\r\n".encode()), Failed, "5.7.1", "用户不存在 grüße"),
    Row("GBK", taken(b"550 5.7.1 " + "用户不存在".encode("gbk") + b"\r\n"), Failed, "5.7.1", "\ufffd"),
    Row("right to left", taken("550 5.7.1 \u202etxt.exe\u2066\r\n".encode()), Failed, "5.7.1", "?txt.exe?"),
    Row(
        "199 lines of 300",
        taken(b"".join([b"550-", b"x" * 300, b"\r\n"]) * 199 + lines("550 end")),
        Failed,
        "5.0.0",
        "xxx...",
    ),
    Row("10,000 lines", taken(b"".join([b"550", TEN_THOUSAND]) * 10_000), Delayed, "4.5.0", "200 lines"),
    Row("65,536 octets", taken(b"250 " + LONG + b"\r\n"), Delayed, "4.5.0", "4096 octets"),
)

LMTP = (
    Row(
        "too few final answers",
        (*LHLO, lines("250 ok", "250 ok", "354 go"), Data(), lines("250 saved"), CLOSE),
        Delivered,
        "2.0.0",
        kinds=(Delivered, Delayed),
        lmtp=True,
    ),
    Row(
        "each its own final answer",
        (*LHLO, lines("250 ok", "250 ok", "354 go"), Data(), lines("250 saved", "552 5.2.2 full")),
        Delivered,
        "2.0.0",
        kinds=(Delivered, Failed),
        lmtp=True,
    ),
    Row(
        "one final answer too many",
        (*LHLO, lines("250 ok", "250 ok", "354 go"), Data(), lines("250 saved", "250 saved", "550 no")),
        Delivered,
        "2.0.0",
        kinds=(Delivered, Delivered),
        lmtp=True,
    ),
    Row("LHLO unknown", (lines("220 fake"), Hear("LHLO"), lines("500 what?")), Failed, "5.0.0", lmtp=True),
)

ROWS = (*GREETINGS, *HELLOS, *ENVELOPES, *CONTENTS, *LMTP)
