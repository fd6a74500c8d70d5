"""What a look at the spool has found."""

from __future__ import annotations

from attrs import frozen

DATABASE, ROWS, FILE, LOST, KEPT, PLACE = "database", "rows", "file", "lost", "kept", "place"


@frozen
class Finding:
    #: ``database``; ``rows`` or ``file`` of a letter in the queue; ``lost``: a file whose rows are lost; ``kept``:
    #: something that is kept for a while, and nothing wrong; ``place``: a mode, an owner, something strange
    kind: str
    name: str  #: a queue id, or a path below the spool
    what: str  #: is wrong
    advice: str  #: what to do, perhaps a command

    @property
    def wrong(self) -> bool:
        return self.kind != KEPT
