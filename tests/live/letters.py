"""Letters as they are on the net: several parts, 8-bit text, a large attachment, dots where they hurt."""

from __future__ import annotations

import base64
import random

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
