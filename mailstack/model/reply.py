"""SMTP replies as values: code, enhanced status code and text are separate fields."""

from __future__ import annotations

from mailstack.model.value import frozen


@frozen
class Reply:
    """A reply of ours or of a remote server.

    ``code`` is the three-digit code of RFC 5321, ``status`` the enhanced code of RFC 3463 (``""`` where none goes
    with it: greetings, HELO, 354), ``text`` one line, or several with ``\\n`` between.
    """

    code: int
    status: str
    text: str

    def wire(self) -> bytes:
        """The octets to send; the status is repeated on every line (RFC 2034 §4)."""
        prefix = f"{self.status} " if self.status else ""
        start, last = "", self.text
        if "\n" in last:
            *others, last = last.split("\n")
            start = "".join(f"{self.code}-{prefix}{line}\r\n" for line in others)
        return f"{start}{self.code} {prefix}{last}\r\n".encode("utf-8", "replace")

    @property
    def full_status(self) -> str:
        """The enhanced code; without one, the class that the code means (RFC 3463 §3.1), temporary for odd codes."""
        return self.status or {2: "2.0.0", 5: "5.0.0"}.get(self.code // 100, "4.0.0")

    @property
    def positive(self) -> bool:
        return self.code < 400

    @property
    def permanent(self) -> bool:
        return self.code >= 500

    def __str__(self) -> str:
        """One line for logs and reports."""
        words = [str(self.code), self.status, self.text.replace("\n", " ")]
        return " ".join(word for word in words if word)
