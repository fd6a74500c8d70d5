"""The table of hostile servers, in memory: each ends as an outcome that can be shown, and leaves nothing behind."""

from __future__ import annotations

import pytest

from mailstack.config.settings import Route
from mailstack.delivery.parcel import MAX_TEXT
from mailstack.log import line
from mailstack.model.outcome import Delivered
from tests.delivery.some_settings import settings
from tests.delivery.test_remote import Scene
from tests.hostile.servers import ROWS, Close, Data, Hear, Pause, Row

LONGEST = 2 * 60  #: minutes in which every session is over
PIECES = {"whole": 0, "octet by octet": 1}


class Server:
    """Plays a script against the client of a scene."""

    def __init__(self, row: Row, piece: int) -> None:
        route = Route("lmtp" if row.lmtp else "smtp", "192.0.2.1", 2525, literal=True)
        names = [f"user{number}@x.test" for number in range(row.recipients)]
        self.scene = Scene(settings(("*", route))).deliver(*names)
        self.scene.connect()
        self._piece = piece
        self._heard = b""

    def play(self, row: Row) -> None:
        for act in row.acts:
            if isinstance(act, Pause):
                self.scene.reactor.advance(act.seconds)
            elif isinstance(act, Close):
                self.scene.hang_up()
                return
            elif isinstance(act, Hear):
                self._wait_for(f"{act.verb}".encode())
            elif isinstance(act, Data):
                self._wait_for(b".\r\n")
            else:
                self._say(act)

    def _say(self, octets: bytes) -> None:
        size = self._piece if len(octets) < 5_000 else 1_000
        for start in range(0, len(octets), size or len(octets)):
            if self.scene.transport.disconnected:
                return
            self.scene.hear(octets[start : start + (size or len(octets))])

    def _wait_for(self, words: bytes) -> None:
        self._heard += self.scene.transport.take()
        place = self._heard.find(words)
        assert place >= 0, f"{words!r} is not in {self._heard!r}"
        self._heard = self._heard[place + len(words) :]


PLAYS = [
    pytest.param(row, piece, id=f"{row.name}, {name}")
    for row in ROWS
    for name, piece in PIECES.items()
    if row.cut or not piece
]


@pytest.mark.parametrize(("row", "piece"), PLAYS)
def test_hostile_server(row: Row, piece: int) -> None:
    server = Server(row, piece)
    server.play(row)
    scene = server.scene
    scene.reactor.pump([60.0] * LONGEST)
    assert scene.outcomes is not None, "it hangs"
    found = [scene.outcomes[number] for number in range(row.recipients)]
    assert (type(found[0]), found[0].reply.status) == (row.kind, row.status), found[0].reply
    assert tuple(map(type, found)) == (row.kinds or (row.kind,))
    assert row.words in str(found[0].reply)
    for outcome in found:
        assert outcome.reply.text.replace("\n", "").isprintable()
        assert len(outcome.reply.text) <= MAX_TEXT + 3
        shown = line("L1", {"status": f"({outcome.reply})"})
        assert shown.isprintable()
        assert isinstance(outcome, Delivered) == (200 <= outcome.reply.code < 300)
    if not scene.transport.disconnected:
        scene.hang_up()
    assert scene.quiet()
