"""How much one account may send: its recipients of the last hour, in bounded memory. It starts anew with the server."""

from __future__ import annotations

from attrs import define, field, frozen

from mailstack.model.address import Address

HOUR = 60  # minutes: the window
MINUTE = 60.0  # seconds: the window moves on in such steps
NOTICE_EVERY = 86400.0  # seconds between two letters to the postmaster about one account
LINE_EVERY = 3600.0  # seconds between two lines in the log about one account
MAX_CLIENTS = 20  # addresses of clients that are remembered for one account, the latest ones


@define
class SendingRate:
    """What one account has sent. Times are Unix times; when the clock is set back, what it counted then is dropped."""

    account: Address
    limit: int  #: recipients in any hour
    minutes: dict[int, int] = field(factory=dict)  #: recipients by minute, the oldest first
    clients: dict[str, float] = field(factory=dict)  #: when it sent last from there, the latest last
    _line: float = -LINE_EVERY
    _notice: float = -NOTICE_EVERY

    def count(self, now: float) -> int:
        """Recipients of the last hour."""
        this = int(now // MINUTE)
        self.minutes = {minute: count for minute, count in self.minutes.items() if 0 <= this - minute <= HOUR}
        return sum(self.minutes.values())

    def since(self, now: float) -> float:
        """When the first of them was."""
        return min(self.minutes, default=int(now // MINUTE)) * MINUTE

    def pause(self, now: float) -> float:
        """Seconds until there is room for one more at least."""
        return self.since(now) + (HOUR + 1) * MINUTE - now

    def seen(self, client: str, now: float) -> None:
        self.clients.pop(client, None)
        self.clients[client] = now
        if len(self.clients) > MAX_CLIENTS:
            del self.clients[next(iter(self.clients))]

    def recent_clients(self, now: float) -> list[str]:
        """From which addresses it sent in the last hour."""
        return [client for client, last in self.clients.items() if now - last <= (HOUR + 1) * MINUTE]

    def earns_line(self, now: float) -> bool:
        """Whether the log shall tell that the limit strikes: not again and again."""
        earned = now - self._line >= LINE_EVERY
        self._line = now if earned else self._line
        return earned

    def earns_notice(self, now: float) -> bool:
        """Whether the postmaster shall be told: once a day."""
        earned = now - self._notice >= NOTICE_EVERY
        self._notice = now if earned else self._notice
        return earned


@define
class Charge:
    """The recipients of one message: they count from RCPT on, so that nobody gets more by sending in parallel, and are
    taken back if the message is not accepted."""

    rate: SendingRate
    _minutes: list[int] = field(factory=list)

    def take(self, client: str, now: float, recipients: int = 1) -> bool:
        """Count recipients; False: the hour is full. A list counts as all whom it leads to, and may go beyond the limit
        once, or one that is longer than the limit could never be used."""
        rate = self.rate
        rate.seen(client, now)
        if rate.count(now) >= rate.limit:
            return False
        minute = int(now // MINUTE)
        rate.minutes[minute] = rate.minutes.get(minute, 0) + recipients
        self._minutes += [minute] * recipients
        return True

    def keep(self) -> None:
        """The message was accepted."""
        self._minutes.clear()

    def give_back(self) -> None:
        minutes = self.rate.minutes
        for minute in self._minutes:
            if minute in minutes:
                minutes[minute] -= 1
                # Or the hour would seem to begin with a minute in which nothing was sent.
                if not minutes[minute]:
                    del minutes[minute]
        self._minutes.clear()


@frozen
class SendingRates:
    """All that have sent: not more than there are in the users file."""

    limit: int
    _known: dict[Address, SendingRate] = field(factory=dict, init=False)

    def charge(self, address: Address) -> Charge:
        """For a new message of this account."""
        rate = self._known.get(address)
        if rate is None:
            rate = self._known[address] = SendingRate(address, self.limit)
        return Charge(rate)
