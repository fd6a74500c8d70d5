"""What every session of one listener shares."""

from __future__ import annotations

from collections.abc import Callable

from attrs import field, frozen

from mailstack.config.settings import Settings
from mailstack.intake.rate import SendingRates
from mailstack.intake.relay import RelayRule
from mailstack.interfaces.accounts import IAuthenticator, IDirectory
from mailstack.interfaces.log import IEventLog, ILimitCounts
from mailstack.interfaces.spool import ILetterbox
from mailstack.interfaces.waiting import IOwnMail, IWaitingMail
from mailstack.message.voice import Voice
from mailstack.model.letter import Letter


def unheard(address: str, name: str) -> None:
    """Nobody wants to know who greets."""


@frozen
class Surroundings:
    settings: Settings
    directory: IDirectory
    authenticator: IAuthenticator
    spool: ILetterbox
    log: IEventLog
    wake: Callable[[Letter], None]  #: tells the queue of a letter that just became ours
    waiting: IWaitingMail
    own_mail: IOwnMail
    new_id: Callable[[], str]
    now: Callable[[], float]
    submission: bool  #: for our users, who log in; else for other servers
    tls: bool  #: STARTTLS can be had
    counts: ILimitCounts
    free_space: Callable[[], int]  #: octets that the disk still takes
    rates: SendingRates  #: how much each account has sent, on whatever port
    #: sends a letter to the postmaster; it is made when its queue id is known
    notify: Callable[[Callable[[str, Voice], bytes]], object]
    greeted: Callable[[str, str], None] = unheard  #: hears of each HELO and EHLO: the client's address, the name
    tls_required: bool = field(default=False, kw_only=True)  #: nothing goes without it
    rule: RelayRule = field(init=False)

    @rule.default
    def _rule_of_the_settings(self) -> RelayRule:
        return RelayRule.of(self.settings.relay)
