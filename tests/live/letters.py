"""Letters as they are on the net: several parts, 8-bit text, a large attachment, dots where they hurt."""

from __future__ import annotations

import base64
import random
from collections.abc import Mapping
from pathlib import Path

SUBJECT = "Grüße aus Köln: schöne Bilder — 日本語"
TEXT = "Liebe Grüße!\n\n.\n..\n.Ende des Satzes.\nFrom here on it is a trap for mboxes.\n"

_LETTER = """\
From: Friend <friend@far.test>
To: alice@office.test
Subject: {subject}
Message-ID: <{id}@far.test>
Date: Mon, 02 Mar 2026 10:00:00 +0100
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="outer"

A preamble.
--outer
Content-Type: multipart/alternative; boundary="inner"

--inner
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

{text}
--inner
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: 8bit

<p>Liebe Grüße!</p>
--inner--
--outer
Content-Type: application/octet-stream
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename*=utf-8''K%C3%B6ln.jpg

{attachment}\
--outer--
"""


def letter(subject: str, attached: int, id: str = "1") -> bytes:
    """CRLF line ends; ``attached`` octets of noise in the attachment."""
    noise = base64.encodebytes(random.Random(id).randbytes(attached)).decode()
    text = _LETTER.format(subject=subject, id=id, text=TEXT, attachment=noise)
    return text.replace("\n", "\r\n").encode()


def encoded(text: str) -> str:
    """RFC 2047."""
    return f"=?utf-8?B?{base64.b64encode(text.encode()).decode()}?="


#: What a mail program makes of it: the subject encoded, 5 MB attached.
LARGE = letter(encoded(SUBJECT), 5_000_000)

#: What others make of it: raw UTF-8 in the header.
RAW = letter(SUBJECT, 2_000, id="2")


def written_by(address: str, letter: bytes) -> bytes:
    """The same letter from one of our users, who must not send as somebody else."""
    return letter.replace(b"From: Friend <friend@far.test>", f"From: <{address}>".encode(), 1)


OURS = {"return-path", "delivered-to", "received"}


def split(fetched: bytes, original: bytes) -> bytes:
    """The part before the original, which must be fields of ours alone."""
    line_end = b"\r\n" if b"\r\n" in fetched else b"\n"
    sent = original.replace(b"\r\n", line_end)
    assert fetched.endswith(sent), "it is not the letter that was sent"
    added = fetched.removesuffix(sent)
    fields = {line.partition(b":")[0].lower().decode() for line in added.split(line_end) if line[:1].strip()}
    assert fields == OURS
    return added


# ---- Letters as they may lie in a Maildir


def _sample(name: str, rest: bytes) -> bytes:
    fields = f"From: friend@far.test\nSubject: {name}\nMessage-ID: <{name.replace(' ', '-')}@far.test>\n"
    return fields.encode() + rest


SAMPLES = {
    name: _sample(name, rest)
    for name, rest in {
        "ordinary": b"\nOne line.\n",
        "no final newline": b"\nThe last line has no end.",
        "NUL": b"\nbefore\0after\n\0\n",
        "a long line": b"\n" + b"x" * 1_000_000 + b"\nand another\n",
        "only a header": b"",
        "no body": b"\n",
        "dots": b"\n.\n..\n...\n.x\n\n.\n.",
        "8-bit": "X-Greeting: schöne Grüße\n\nGrüße: 日本語\n".encode() + b"\xe4\xf6\xfc\xff\n",
        "blank lines": b"\n\n\n \n\t\n\n\n",
        "From": b"\nFrom here\n>From there\nFrom friend@far.test Mon Mar  2 10:00:00 2026\n",
        "CRLF": b"\nbefore\r\nafter\r\n",
        "a lone CR": b"\nbefore\rafter\n",
    }.items()
} | {"empty": b""}


def on_the_wire(stored: bytes) -> bytes:
    """By POP3, without the dots: each line ends in CRLF, the last one too, and a lone CR is a blank."""
    lines = stored.replace(b"\r\n", b"\n").replace(b"\r", b" ")
    ended = lines if lines.endswith(b"\n") or not lines else lines + b"\n"
    return ended.replace(b"\n", b"\r\n")


def put(maildir: Path, letters: Mapping[str, bytes]) -> None:
    """As other programs do it: every second one says its sizes in its name."""
    for part in ("tmp", "new", "cur"):
        (maildir / part).mkdir(parents=True, exist_ok=True)
    for number, (name, content) in enumerate(letters.items()):
        sizes = f",S={len(content)},W={len(on_the_wire(content))}" if number % 2 else ""
        (maildir / "new" / f"{1_700_000_000 + number}.{name.replace(' ', '-')}.far.test{sizes}").write_bytes(content)
