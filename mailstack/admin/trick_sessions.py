"""Tricks of the session: what comes before the RCPT, how it is written, what is hidden in a message."""

from __future__ import annotations

from mailstack.admin.trick import BAD, GOOD, HELLO, OURS, STRANGE, Trick

#: A message that may be sent, in two steps.
_LETTER = ("DATA", "Subject: good\r\n\r\nGood.\r\n.")

_OPENINGS: dict[str, tuple[str, ...]] = {
    "HELO alone": ("HELO client.{f}", STRANGE, BAD),
    "HELO as one of ours": ("HELO {v}.{d}", OURS, BAD),
    "EHLO with our name": ("EHLO {n}", OURS, BAD),
    "EHLO with our domain": ("EHLO {d}", OURS, BAD),
    "EHLO localhost": ("EHLO localhost", OURS, BAD),
    "EHLO 127.0.0.1": ("EHLO [127.0.0.1]", OURS, BAD),
    "EHLO our address": ("EHLO [{ip}]", OURS, BAD),
    "no greeting": (STRANGE, BAD),
    "no greeting and no MAIL": (BAD,),
    "no MAIL": (HELLO, BAD),
    "two greetings": (HELLO, STRANGE, "EHLO {n}", BAD),
    "a web browser": ("POST / HTTP/1.1", "Host: {n}", HELLO, STRANGE, BAD),
    "AUTH failed": (HELLO, "AUTH PLAIN {plain}", OURS, BAD),
    "AUTH failed, twice": (HELLO, "AUTH PLAIN {plain}", "AUTH PLAIN {plain}", OURS, BAD),
    "AUTH LOGIN failed": (HELLO, "AUTH LOGIN", "{login}", "{wrong}", OURS, BAD),
    "AUTH failed, for somebody else": (HELLO, "AUTH PLAIN {vouched}", OURS, BAD),
    "AUTH cancelled": (HELLO, "AUTH LOGIN", "*", OURS, BAD),
    "AUTH cancelled half-way": (HELLO, "AUTH LOGIN", "{login}", "*", OURS, BAD),
    "AUTH left half-way": (HELLO, "AUTH LOGIN", "{login}", "MAIL FROM:<{v}@{d}>", OURS, BAD),
    "AUTH with an empty response": (HELLO, "AUTH PLAIN =", OURS, BAD),
    "AUTH without a response": (HELLO, "AUTH PLAIN", "", OURS, BAD),
    "AUTH that is no base64": (HELLO, "AUTH PLAIN ***", OURS, BAD),
    "AUTH ANONYMOUS": (HELLO, "AUTH ANONYMOUS {wrong}", OURS, BAD),
    "AUTH EXTERNAL": (HELLO, "AUTH EXTERNAL {login}", OURS, BAD),
    "STARTTLS": (HELLO, "STARTTLS", HELLO, STRANGE, BAD),
    "STARTTLS, no new greeting": (HELLO, "STARTTLS", STRANGE, BAD),
    "STARTTLS after MAIL": (HELLO, OURS, "STARTTLS", BAD),
    "STARTTLS, then AUTH failed": (HELLO, "STARTTLS", HELLO, "AUTH PLAIN {plain}", OURS, BAD),
    "STARTTLS, then AUTH cancelled": (HELLO, "STARTTLS", HELLO, "AUTH LOGIN", "{login}", "*", OURS, BAD),
    "AUTH failed, then STARTTLS": (HELLO, "AUTH PLAIN {plain}", "STARTTLS", HELLO, OURS, BAD),
    "STARTTLS with a parameter": (HELLO, "STARTTLS now", OURS, BAD),
    "XCLIENT: from 127.0.0.1": (HELLO, "XCLIENT ADDR=127.0.0.1 NAME=localhost", HELLO, OURS, BAD),
    "XCLIENT: logged in": (HELLO, "XCLIENT LOGIN={v}@{d}", HELLO, OURS, BAD),
    "XCLIENT: everything": (HELLO, "XCLIENT ADDR=[{ip}] NAME={n} LOGIN={v} PROTO=ESMTP", HELLO, OURS, BAD),
    "XFORWARD": (HELLO, "XFORWARD ADDR=127.0.0.1 SOURCE=LOCAL", OURS, BAD),
    "PROXY from 127.0.0.1": ("PROXY TCP4 127.0.0.1 {ip} 40000 25", HELLO, OURS, BAD),
    "PROXY from ::1": ("PROXY TCP6 ::1 ::1 40000 25", HELLO, OURS, BAD),
    "PROXY UNKNOWN": ("PROXY UNKNOWN", HELLO, OURS, BAD),
    "PROXY in the session": (HELLO, "PROXY TCP4 127.0.0.1 {ip} 40000 25", OURS, BAD),
    "VRFY before": (HELLO, "VRFY {u}@{x}", STRANGE, BAD),
    "EXPN before": (HELLO, "EXPN {u}@{x}", STRANGE, BAD),
    "NOOP before": (HELLO, "NOOP MAIL FROM:<{v}@{d}>", STRANGE, BAD),
    "RSET before": (HELLO, OURS, GOOD, "RSET", STRANGE, BAD),
    "RSET, no new MAIL": (HELLO, OURS, GOOD, "RSET", BAD),
    "MAIL twice": (HELLO, STRANGE, OURS, BAD),
    "SEND": (HELLO, "SEND FROM:<{v}@{d}>", BAD),
    "SOML": (HELLO, "SOML FROM:<{v}@{d}>", BAD),
    "SAML": (HELLO, "SAML FROM:<{v}@{d}>", BAD),
    "TURN": (HELLO, "TURN", OURS, BAD),
    "ETRN": (HELLO, "ETRN {x}", OURS, BAD),
    "ETRN of all below": (HELLO, "ETRN @{x}", OURS, BAD),
    "ATRN": (HELLO, "ATRN {x}", OURS, BAD),
}

_SPELLINGS: dict[str, str] = {
    "small letters": "rcpt to:<{u}@{x}>",
    "mixed letters": "rCpT tO:<{u}@{x}>",
    "tab for blank": "RCPT\tTO:<{u}@{x}>",
    "blanks everywhere": "RCPT   TO  :   <{u}@{x}>   ",
    "blank before": " RCPT TO:<{u}@{x}>",
    "no blank": "RCPTTO:<{u}@{x}>",
    "no colon": "RCPT TO <{u}@{x}>",
    "FROM for TO": "RCPT FROM:<{u}@{x}>",
    "the path alone": "RCPT <{u}@{x}>",
    "NUL before": "\0RCPT TO:<{u}@{x}>",
    "a letter too many": "XRCPT TO:<{u}@{x}>",
}

#: What somebody may take for the end of a line; a good recipient stands before it, and one more answer is too many.
_LINE_ENDS = {
    "bare LF": "\n",
    "bare CR": "\r",
    "LF CR": "\n\r",
    "CR CR LF": "\r\r\n",
    "NUL": "\0",
    "NUL CRLF": "\0\r\n",
    "vertical tab": "\v",
    "form feed": "\f",
    "NEL": "\x85",
    "line separator": "\u2028",
    "CR in UTF-8, overlong": "\udcc0\udc8d\udcc0\udc8a",
    "percent-encoded": "%0d%0a",
    "a letter U+010A, whose low octet is LF": "\u010a",
}

_BURSTS = {
    "after a good recipient": ((HELLO, OURS, GOOD, BAD), 0),
    "between good ones": ((HELLO, OURS, f"{BAD}\r\n{GOOD}\r\n{BAD}"), 3),
    "MAIL and RCPT together": ((HELLO, f"{OURS}\r\n{BAD}"), 1),
    "all with a good recipient": ((HELLO, f"{OURS}\r\n{GOOD}\r\n{BAD}"), 2),
    "greeting and all": ((f"{HELLO}\r\n{OURS}\r\n{BAD}",), 2),
    "RSET in between": ((HELLO, f"{OURS}\r\n{GOOD}\r\nRSET\r\n{OURS}\r\n{BAD}"), 4),
    "ten times": ((HELLO, OURS, *[BAD] * 10), 0),
}

#: What ends no data: only CRLF.CRLF does (RFC 5321 §4.1.1.4).
FAKE_ENDS = {
    "LF . LF": "\n.\n",
    "CR . CR": "\r.\r",
    "CR . LF": "\r.\n",
    "LF . CR": "\n.\r",
    "LF . CRLF": "\n.\r\n",
    "CR . CRLF": "\r.\r\n",
    "CRLF . LF": "\r\n.\n",
    "CRLF . CR": "\r\n.\r",
    "CRLF NUL . CRLF": "\r\n\0.\r\n",
    "CRLF . NUL CRLF": "\r\n.\0\r\n",
    "CRLF . CR CRLF": "\r\n.\r\r\n",
    "CR CRLF . CR CRLF": "\r\r\n.\r\r\n",
    "LF LF . CRLF": "\n\n.\r\n",
    "LF CRLF . LF": "\n\r\n.\n",
    "CRLF . tab CRLF": "\r\n.\t\r\n",
    "CRLF . blank CRLF": "\r\n. \r\n",
    "CRLF .. CRLF": "\r\n..\r\n",
    "vertical tab . CRLF": "\v.\r\n",
    "NEL . NEL": "\x85.\x85",
    "CRLF full-width . CRLF": "\r\n\uff0e\r\n",
    "CRLF . with the eighth bit CRLF": "\r\n\udcae\r\n",
}

#: 127.0.0.1 calls 127.0.0.1: the header of the PROXY protocol, version 2, §2.2.
_PROXY_2 = "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01\0\x19\0\x19"

_SMUGGLED = f"{OURS}\r\n{BAD}\r\n{GOOD}\r\nDATA\r\nSubject: smuggled\r\n\r\nSmuggled.\r\n."


def _smuggling(name: str, end: str) -> Trick:
    message = f"Subject: first\r\n\r\nFirst.{end}{_SMUGGLED}"
    return Trick("end of data", name, (HELLO, STRANGE, GOOD, "DATA", message), content=True, smuggling=True)


def _sent(name: str, *script: str, spare: int = 0) -> Trick:
    return Trick("message", name, script, spare, content=True)


#: What sends messages, or leaves it open how many answers there are.
_MESSAGES = (
    _sent("second transaction, after a good one", HELLO, STRANGE, GOOD, *_LETTER, STRANGE, BAD),
    _sent("no MAIL after a good one", HELLO, OURS, GOOD, *_LETTER, BAD),
    _sent("DATA after a refusal", HELLO, STRANGE, BAD, *_LETTER),
    _sent("all at once, with DATA", f"{HELLO}\r\n{OURS}\r\n{BAD}\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.", spare=2),
    _sent("BDAT for DATA", HELLO, STRANGE, BAD, "BDAT 14 LAST\r\nSubject: xyz"),
    _sent("BDAT for RCPT", HELLO, OURS, "BDAT 0 LAST"),
    _sent("BDAT with commands in it", HELLO, STRANGE, GOOD, "BDAT 30\r\nRCPT TO:<target@far.example>", spare=1),
    _sent("RCPT after BDAT", HELLO, STRANGE, GOOD, "BDAT 12\r\nSubject: x", BAD),
    _sent("MAIL behind STARTTLS", HELLO, f"STARTTLS\r\n{HELLO}\r\n{OURS}\r\n{BAD}", spare=1),
    _sent("commands behind QUIT", HELLO, f"QUIT\r\n{HELLO}\r\n{OURS}\r\n{BAD}", spare=1),
    _sent("RCPT in the header", HELLO, STRANGE, GOOD, "DATA", "Bcc: <{u}@{x}>\r\n\r\nx\r\n.", spare=1),
    _sent("PROXY, second version", _PROXY_2, HELLO, OURS, BAD),
)

SESSIONS = (
    *(Trick("session", name, script) for name, script in _OPENINGS.items()),
    *(Trick("spelling", name, (HELLO, OURS, command)) for name, command in _SPELLINGS.items()),
    *(Trick("injection", name, (HELLO, OURS, f"{GOOD}{end}{BAD}"), spare=1) for name, end in _LINE_ENDS.items()),
    *(
        Trick("injection", f"{name}, in the path", (HELLO, OURS, f"RCPT TO:<{{v}}@{{d}}{end}{BAD}"), spare=1)
        for name, end in _LINE_ENDS.items()
    ),
    *(Trick("pipelining", name, script, spare) for name, (script, spare) in _BURSTS.items()),
    *_MESSAGES,
    *(_smuggling(name, end) for name, end in FAKE_ENDS.items()),
)
