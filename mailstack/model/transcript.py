"""What was said in one session, as it is kept for those who look at it later."""

from __future__ import annotations

from attrs import frozen

#: Who says a line.
CLIENT, SERVER, NOTE = "C", "S", "-"


@frozen
class Spoken:
    """One line. A note is no part of the dialogue: TLS, the octets of a message, what was left out."""

    milliseconds: int  #: since the connection
    who: str  #: CLIENT, SERVER or NOTE
    text: str


@frozen
class Transcript:
    """One session with a client, from the connection to its end."""

    id: int
    began: float  #: Unix time
    seconds: float  #: that it lasted, or lasts until now
    client: str  #: IP address; "" for a UNIX socket
    user: str  #: the account that was logged in to; "" for none
    service: str  #: smtp, submission
    port: int  #: of ours; 0 for a UNIX socket
    tls: str  #: version and cipher; "" without
    ended: str  #: ``QUIT``, ``lost``, ``time-out``, ``421 4.7.0``, …; "" while it is open
    queue_ids: tuple[str, ...]  #: of the letters that came of it
    lines: tuple[Spoken, ...]
    tried: str = ""  #: the name with which somebody could not log in, where nobody is

    def is_of(self, name: str) -> bool:
        """Whether this account was logged in to, or tried. The local part alone stands for the whole address."""
        user, name = (self.user or self.tried).lower(), name.lower()
        if "@" in user and "@" in name:
            return user == name
        return bool(user) and user.partition("@")[0] == name.partition("@")[0]

    @property
    def commands(self) -> int:
        return sum(line.who == CLIENT for line in self.lines)

    @property
    def refusals(self) -> list[str]:
        """The replies that say no, the last line of each."""
        said = (line.text for line in self.lines if line.who == SERVER)
        return [text for text in said if text.startswith(("4", "5")) and text[3:4] != "-"]

    @property
    def protocol(self) -> str:
        """As in Received: RFC 3848."""
        extended = any(line.who == CLIENT and line.text[:4].upper() == "EHLO" for line in self.lines)
        return f"ESMTP{'S' * bool(self.tls)}{'A' * bool(self.user)}" if extended else "SMTP"
