"""Who may send what through us: the rule that keeps the relay closed."""

from __future__ import annotations

import re

from attrs import frozen

from mailstack.config.settings import Network
from mailstack.config.settings import Relay as RelaySettings
from mailstack.model.address import Address
from mailstack.model.networks import lies_in
from mailstack.model.reply import Reply

RELAYING_DENIED = Reply(550, "5.7.1", "Relaying denied")

#: ``user%far.test@backup.test`` and the like: a way to go on from there, written into the local part.
_ONWARD = re.compile(r"[@%!]")


@frozen
class RelayRule:
    """Decides on foreign domains. Local ones are the directory's business."""

    networks: tuple[Network, ...]
    domains: frozenset[str]

    @classmethod
    def of(cls, settings: RelaySettings) -> RelayRule:
        return cls(settings.networks, frozenset(settings.domains))

    def trusts(self, client: str) -> bool:
        """Whether the client's address lies in ``[relay] networks``; a UNIX socket's does not."""
        return lies_in(client, self.networks)

    def permits(self, recipient: Address, client: str, ours: bool) -> bool:
        """Whether mail for this foreign address is taken: from our users, from trusted networks, or for a domain that
        we are backup MX for."""
        return ours or self._stands_in_for(recipient) or self.trusts(client)

    def _stands_in_for(self, recipient: Address) -> bool:
        # The domain's own server may trust us, and so send on for strangers what it would not take from them.
        return recipient.domain in self.domains and not _ONWARD.search(recipient.local)
