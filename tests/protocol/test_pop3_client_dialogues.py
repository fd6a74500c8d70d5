"""How our client begins a session, against golden dialogues, whole and octet by octet."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve

from mailstack.protocol.pop3_client import Answer, Complete, Event, Garbled, Pop3Client, Row, Shape
from mailstack.protocol.pop3_client_opening import Ask, Greet, Heard, Login, Manner, Refused, Secure, opening
from tests.dialogue import CUTS, Step, check, read

FILES = sorted((Path(__file__).parent.parent / "dialogues" / "pop3_client").glob("*.txt"))


class Script:
    """Understands the settings of the dialogue files: ``encrypted``, ``plain``, ``password``; and how it must end:
    ``open`` with these capabilities, ``refused`` or ``garbled`` with this reason. ``[TLS]`` stands for a handshake."""

    def __init__(self) -> None:
        self.manner = Manner(Login("user", b"pencil", b"pencil", "rOprNGfwEbeRWgbNEkqO"))
        self.end = ""
        self._begun = False

    def send(self, data: bytes) -> bytes:
        if not data and not self._begun:
            return b""
        if not self._begun:
            self._begun = True
            self._client = Pop3Client()
            self._rows: list[bytes] = []
            self._steps = opening(self.manner)
            assert self._steps.send(None) == Greet()  # type: ignore[arg-type]  # a generator begins with None
        self._client.receive(data)
        said = b""
        while not self.end and (event := self._client.next_event()) is not None:
            said += self._happened(event)
        return said

    def _happened(self, event: Event) -> bytes:
        match event:
            case Garbled(reason):
                self.end = f"garbled {reason}"
                return b""
            case Row(text):
                self._rows.append(text)
                return b""
            case Answer(positive=True) if self._client.owed and self._shape is Shape.LIST:
                self._answer = event
                return b""
            case Answer():
                self._answer = event
            case _:
                assert event == Complete()
        heard, self._rows = Heard(self._answer, tuple(self._rows)), []
        return self._on(heard)

    _shape = Shape.LINE

    def _on(self, heard: Heard | None) -> bytes:
        try:
            step = self._steps.send(heard)  # type: ignore[arg-type]  # None after Secure
        except StopIteration as end:
            self.end = " ".join(["open", *sorted(end.value)])
            return b""
        except Refused as error:
            self.end = f"refused {error}"
            return b""
        if isinstance(step, Secure):
            assert not self._client.pending
            self._client = Pop3Client(greeting=False)
            return b"[TLS]\r\n" + self._on(None)
        assert isinstance(step, Ask)
        self._shape = step.shape
        return self._client.say(step.line, step.shape)

    def setting(self, key: str, value: str) -> None:
        match key:
            case "encrypted":
                self.manner = evolve(self.manner, encrypted=value == "yes")
            case "plain":
                self.manner = evolve(self.manner, plain=value == "yes")
            case "password":
                login = evolve(self.manner.login, password=value.encode(), prepared=value.encode())
                self.manner = evolve(self.manner, login=login)
            case _:
                assert self.end == f"{key} {value}".rstrip()


def reversed_roles(step: Step) -> Step:
    """The one that is tested is the client here."""
    if step.kind == "S":
        return Step("C", f"{step.text}\r\n", step.number)
    if step.kind == "C":
        return Step("S", step.text.removesuffix("\r\n"), step.number)
    return step


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_dialogue(file: Path, cut: str) -> None:
    script = Script()
    check([reversed_roles(step) for step in read(file)], script.send, lambda: False, script.setting, CUTS[cut])
    assert script.end, "a dialogue says how it ends"


def test_secrets_are_not_shown() -> None:
    """Not in a traceback either."""
    login = Login("user", b"pencil", b"pencil", "x")
    assert "pencil" not in repr(Manner(login))
    assert "pencil" not in repr(Ask(b"PASS pencil"))
