"""Which kinds of endpoints this installation of Twisted knows, with its plugins."""

from __future__ import annotations

from collections.abc import Set

BUILT_IN = {"tcp", "ssl", "unix"}


def kinds() -> Set[str]:
    """The first words of endpoint strings for servers. Slow: it looks through all plugins."""
    from twisted.internet.interfaces import IStreamServerEndpointStringParser
    from twisted.plugin import getPlugins

    return BUILT_IN | {parser.prefix for parser in getPlugins(IStreamServerEndpointStringParser)}
