"""Names and domains in any script: RFC 6531, RFC 5890. One person has one account, however they are written."""

from __future__ import annotations

from pathlib import Path
from time import time

import pytest

from mailstack.accounts.directory import Directory
from mailstack.accounts.login import Login
from mailstack.interfaces.accounts import Identity
from mailstack.model.address import Address
from tests.accounts.contract import Asking
from tests.accounts.places import Place, ssha
from tests.fakes import ListCounts, ListLog, at_once, in_turn

DOMAIN = "xn--fsqu00a.xn--0zwm56d"  # 例子.测试
USERS = f"用户@例子.测试:{ssha('密码')}\nZOE\u0308@{DOMAIN}:{ssha('x')}\nalice@office.test:{ssha('x')}\n"
ALIASES = (
    "客服: 用户@例子.测试, zoë@例子.测试\n@例子.测试: alice@office.test\nboss@office.test: 用户@XN--fsqu00a.测试\n"
)


class TestDirectory(Asking):
    @pytest.fixture(autouse=True)
    def _place(self, tmp_path: Path) -> None:
        self.log = ListLog()
        self.place = Place(tmp_path, ("office.test", DOMAIN))
        self.place.write(USERS, ALIASES)
        self.directory = self.accounts = Directory(self.place.settings, lambda: 0.0, time, self.log)

    def test_both_forms_of_a_domain(self) -> None:
        for text in ("用户@例子.测试", f"用户@{DOMAIN}", "用户@例子.xn--0ZWM56D", "用户+x@例子.测试"):
            assert self.targets(text) == [f"用户@{DOMAIN}"]

    def test_both_ways_to_spell_a_letter(self) -> None:
        for text in ("zo\u00eb@例子.测试", "Zoe\u0308@例子.测试", "ZO\u00cb@例子.测试"):
            assert self.targets(text) == [f"zo\u00eb@{DOMAIN}"]

    def test_aliases(self) -> None:
        assert self.targets("客服@例子.测试") == [f"用户@{DOMAIN}", f"zo\u00eb@{DOMAIN}"]
        assert self.targets("谁@例子.测试") == ["alice@office.test"], "the domain's catch-all"
        assert self.targets("boss@office.test") == [f"用户@{DOMAIN}"]
        assert not self.log.warnings

    def test_mailbox(self) -> None:
        assert self.directory.mailbox(Address("用户", DOMAIN)) == f"{DOMAIN}/用户"

    async def no_pause(self, seconds: float) -> None:
        pass

    def test_log_in(self) -> None:
        login = Login(
            self.place.settings, self.accounts.users.value, lambda: 0.0, in_turn, self.no_pause, self.log, ListCounts()
        )
        for name in ("用户@例子.测试", f"用户@{DOMAIN}"):
            assert at_once(login.login(name, "密码", "192.0.2.1")) == Identity(Address("用户", DOMAIN))
