"""The seams for what was said, for whoever looks at a session later."""

from __future__ import annotations

from collections.abc import Callable

from zope.interface import Interface

from mailstack.model.reply import Reply
from mailstack.model.value import frozen

#: A line of the client without secrets; a reply; the octets of a message; a note.
Said = bytes | Reply | int | str


@frozen
class Identity:
    """Who a client is, as far as that is known."""

    client: str  #: IP address; "" for a UNIX socket
    user: str = ""  #: the account that it has logged in to; "" for none
    tried: str = ""  #: the name with which it could not, where it has none


#: Tells :meth:`IReception.who`.
Who = Callable[[], Identity]


class IRecording(Interface):
    """Notes what is said in one session. Cheap, in bounded memory, and never raises."""

    def add(said: Said) -> None:
        """Once for each line, in order. The caller gives nothing that is secret."""

    def secured(tls: str) -> None:
        """TLS is up: version and cipher."""

    def end() -> None:
        """The connection is gone. More than once is as good as once."""


class ISessions(Interface):
    """Keeps the last sessions for the administrator."""

    def begin(service: str, port: int, who: Who) -> IRecording:
        """A client has connected to a port of ours (0: a UNIX socket)."""
