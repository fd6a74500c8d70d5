"""Sessions in memory."""

from __future__ import annotations

from twisted.internet.task import Clock
from zope.interface import implementer

from mailstack.interfaces.sessions import IRecording, ISessions, Who
from mailstack.model.transcript import Transcript
from mailstack.server import session_file
from mailstack.server.recording import Recording


@implementer(ISessions)
class ListSessions:
    """Keeps them all."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.recordings: list[Recording] = []

    def begin(self, service: str, port: int, who: Who) -> IRecording:
        number = len(self.recordings) + 1
        recording = Recording(number, 0.0, self._clock.seconds, service, port, who, lambda _: None)
        self.recordings.append(recording)
        return recording

    @property
    def transcripts(self) -> list[Transcript]:
        """As they come back from the file."""
        decoded = [session_file.decode(session_file.encode(each.copy().facts())) for each in self.recordings]
        return [each for each in decoded if each is not None]
