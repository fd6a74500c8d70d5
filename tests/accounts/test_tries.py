"""What a wrong password costs: every one the same time."""

from __future__ import annotations

from typing import ClassVar

import pytest

from mailstack.accounts import passwords
from mailstack.accounts.pace import LONGEST
from mailstack.accounts.schemes import UnusablePassword
from tests.accounts.contract import PASSWORD
from tests.accounts.test_login import LoginFixture


class TestTime(LoginFixture):
    """carol has a password that is checked in no time, dave one of a slow scheme, erin one that takes for ever."""

    SECONDS: ClassVar = {"DUMMY": 0.1, "{PLAIN}x": 0.0, "{SLOW}": 0.3, "{SLOWEST}": 5.0}

    @pytest.fixture(autouse=True)
    def _schemes(self, _authenticator: None, monkeypatch: pytest.MonkeyPatch) -> None:
        self.place.write(
            "alice@office.test:{PLAIN}x\ncarol@office.test:{PLAIN}x\ndave@office.test:{SLOW}\nerin@office.test:{SLOWEST}\nfay@office.test:{NONE}\n"
        )
        self.clock.advance(1.0)
        monkeypatch.setattr(passwords, "DUMMY", "DUMMY")
        monkeypatch.setattr(passwords, "verify", self.verify)

    def verify(self, text: str, password: str) -> bool:
        if text == "{NONE}":
            raise UnusablePassword(text)
        self.clock.advance(self.SECONDS[text])
        return password == PASSWORD and text != "DUMMY"

    async def pause(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def taken(self, name: str, password: str, client: str) -> float:
        begun = self.clock()
        self.login(name, password, client)
        return round(self.clock() - begun, 3)

    def test_a_wrong_answer_takes_as_long_for_everybody(self) -> None:
        self.taken("carol", PASSWORD, "192.0.2.1")
        names = ("carol", "nobody", "fay", "carol", "nobody", "fay")
        assert [self.taken(name, str(n), f"10.{n}.0.1") for n, name in enumerate(names)] == [0.1] * 6

    def test_the_first_answers_as_well(self) -> None:
        """What an unknown user costs is measured before anything else."""
        assert self.taken("carol", "x", "192.0.2.1") == 0.2
        self.authenticator = self.doorman()
        assert self.taken("nobody", "x", "192.0.2.2") == 0.2
        assert self.taken("carol", "y", "192.0.2.3") == 0.1

    def test_all_wait_for_the_slowest_scheme_that_was_seen(self) -> None:
        self.taken("dave", PASSWORD, "192.0.2.1")
        names = ("carol", "dave", "nobody", "fay")
        assert [self.taken(name, "x", f"10.{name}") for name in names] == [0.3] * 4
        assert [self.taken(name, "x", f"10.{name}") for name in names] == [0.3] * 4

    def test_but_not_for_ever(self) -> None:
        self.taken("erin", PASSWORD, "192.0.2.1")
        assert self.taken("nobody", "x", "192.0.2.2") == LONGEST
        assert self.taken("erin", "x", "192.0.2.3") == 5.0

    def test_right_passwords_do_not_wait(self) -> None:
        self.taken("dave", "x", "192.0.2.1")
        assert self.taken("carol", PASSWORD, "192.0.2.2") == 0.0
        assert self.taken("dave", PASSWORD, "192.0.2.2") == 0.3
        assert self.taken("dave", PASSWORD, "192.0.2.2") == 0.0

    def test_waiting_for_a_thread_does_not_count(self) -> None:
        """It is long for everybody, so it hides nothing."""
        self.taken("nobody", "x", "192.0.2.1")
        self.threads.before = lambda: self.clock.advance(1.0)
        assert self.taken("carol", "x", "192.0.2.2") == self.taken("nobody", "x", "192.0.2.3") == 1.1
