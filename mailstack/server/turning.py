"""A conversation whose roles can be turned: the connection stays, and somebody else speaks on it."""

from __future__ import annotations

from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from mailstack.interfaces.waiting import ITurn
from mailstack.server.conversation import Conversation

LONGEST = 86_400.0  #: seconds that it may last for us; who speaks has time-outs of its own, which are shorter


class TurningConversation(Conversation):
    """It goes on counting as a connection of its service, and ends with it."""

    turn: ITurn | None = None

    @property
    def turnable(self) -> bool:
        """Whether the other side is still there, and heard; while an answer was pending, much may have happened."""
        return self._connected and not (self._stopping or self._ended)

    def hand_over(self, turn: ITurn, rest: bytes) -> None:
        """After the answer that turns the roles, while the connection is :attr:`turnable`. ``rest`` are octets that
        have come already."""
        self.flush()
        self.transport.unregisterProducer()
        self.turn = turn
        # Looked up anew for each read, so that sessions whose roles are never turned pay nothing for it.
        self.dataReceived = turn.dataReceived  # type: ignore[method-assign]
        turn.makeConnection(self.transport)
        if rest:
            turn.dataReceived(rest)

    def readConnectionLost(self) -> None:
        if self.turn is None:
            super().readConnectionLost()
        else:
            # Who is to answer us cannot any more.
            self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.turn is not None:
            self.turn.connectionLost(reason)
        super().connectionLost(reason)

    def stop(self) -> None:
        if self.turn is None:
            super().stop()
        else:
            self.turn.abort()
