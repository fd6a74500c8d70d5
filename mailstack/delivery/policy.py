"""How a session with a server is secured: the one place that decides it. What decides today is mail.ini and the letter
itself; what other domains publish (MTA-STS, DANE) would be a further provider."""

from __future__ import annotations

from zope.interface import implementer

from mailstack.interfaces.delivery import OPPORTUNISTIC, Host, ITlsPolicies, NextHop, Policy
from mailstack.model.reply import Reply
from mailstack.protocol.smtp_opening import VERIFIED

#: RFC 8689 §2: the name of an MX must be sure, by DNSSEC or MTA-STS, which we do not ask for.
NAME_UNSURE = Reply(550, "5.7.10", "Encryption needed (REQUIRETLS), but DNS alone says which server is the right one")


@implementer(ITlsPolicies)
class ConfiguredPolicies:
    """What mail.ini says of the destination; a letter that requires TLS may ask for more, never for less."""

    async def policy(self, hop: NextHop, host: Host, require_tls: bool) -> Policy | Reply:
        if require_tls and host.name != hop.host:
            return NAME_UNSURE
        names = _names(hop, host)
        if require_tls and hop.tls not in VERIFIED:
            return Policy("required", names, "REQUIRETLS")
        if hop.key == "smarthost":
            return Policy(hop.tls, names, "[smarthost]")
        return Policy(hop.tls, names, "default" if hop.tls == OPPORTUNISTIC else "[routes]")


def _names(hop: NextHop, host: Host) -> tuple[str, ...]:
    """RFC 7817 §3 wants the domain in the certificate; hardly any server of several domains has it, so the name of the
    MX does, too, although who can forge DNS can choose that. A password is for the host of mail.ini alone."""
    if hop.username:
        return (hop.host,)
    return tuple(dict.fromkeys((host.name, hop.host)))
