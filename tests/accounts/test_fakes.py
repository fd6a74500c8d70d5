"""The providers in memory keep the contracts."""

from __future__ import annotations

import pytest

from mailstack.protocol.srs import Srs
from tests.accounts.contract import ACCOUNTS, ALIASES, PASSWORD, SRS_KEY, AuthenticatorContract, DirectoryContract
from tests.fakes_accounts import MemoryAuthenticator, MemoryDirectory


class TestMemoryDirectory(DirectoryContract):
    @pytest.fixture(autouse=True)
    def _directory(self) -> None:
        self.directory = MemoryDirectory(ACCOUNTS, ALIASES, srs=Srs(SRS_KEY, max_age=26))


class TestMemoryAuthenticator(AuthenticatorContract):
    @pytest.fixture(autouse=True)
    def _authenticator(self) -> None:
        self.authenticator = MemoryAuthenticator({"alice@office.test": PASSWORD})
