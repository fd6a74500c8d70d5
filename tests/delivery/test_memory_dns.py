"""The DNS that other tests use keeps the contract too."""

from __future__ import annotations

from tests.delivery.memory_dns import MemoryResolver
from tests.delivery.resolver_contract import BROKEN, ZONE, ResolverContract


class TestMemoryResolver(ResolverContract):
    resolver = MemoryResolver(ZONE, BROKEN)
