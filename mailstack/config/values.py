"""What the values of mail.ini mean. Every function takes text and returns the value, or raises BadValue."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TypeVar

from mailstack.config.problem import BadValue
from mailstack.config.settings import DAY, HOUR, KIB, MIB, MINUTE, Network, TlsPolicy
from mailstack.model.address import Address
from mailstack.model.domain import to_ascii

T = TypeVar("T")

SIZES = {"": 1, "KiB": KIB, "MiB": MIB, "GiB": 1024 * MIB}
TIMES = {"s": 1.0, "m": MINUTE, "h": HOUR, "d": DAY}

_NUMBER = re.compile(r"([0-9]{1,12})\s*([A-Za-z]*)\Z")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
#: RFC 1123 §2.1, and the underscore that occurs all the same; the lengths are of RFC 1035 §2.3.4.
_DOMAIN = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*\Z")


def words(text: str) -> tuple[str, ...]:
    """A list, separated by white space or commas."""
    return tuple(word for word in re.split(r"[\s,]+", text) if word)


def each(parse: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    """The parser for a list of what ``parse`` takes."""
    return lambda text: tuple(parse(word) for word in words(text))


def some(parse: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    """The same for a list that must not be empty."""

    def parsed(text: str) -> tuple[T, ...]:
        if not words(text):
            raise BadValue("the list is empty", "write at least one value")
        return each(parse)(text)

    return parsed


def optional(parse: Callable[[str], T]) -> Callable[[str], T | None]:
    """The same with nothing written for None."""
    return lambda text: parse(text) if text else None


def size(text: str) -> int:
    """Octets."""
    number, unit = _quantity(text, "a size", "write a number with KiB, MiB or GiB, such as 25MiB")
    factor = {name.lower(): octets for name, octets in SIZES.items()}.get(unit.lower())
    if factor is None:
        raise BadValue(f"{text!r} is not a size", f"write {number}KiB, {number}MiB or {number}GiB")
    return number * factor


def pause(text: str) -> float:
    """Seconds, or none at all."""
    return 0.0 if re.fullmatch(r"0+\s*[smhdSMHD]?", text) else seconds(text)


def at_most(parse: Callable[[str], float], most: float) -> Callable[[str], float]:
    """The parser for a time that must not be longer; ``most`` in seconds."""

    def parsed(text: str) -> float:
        time = parse(text)
        if time > most:
            days = f"{int(most // DAY)}d"
            raise BadValue(f"{text!r} is too long a time", f"write {days} at most")
        return time

    return parsed


def days_or_never(text: str) -> int | None:
    """Days for which messages are kept; None: for ever. POP3's EXPIRE knows whole days only (RFC 2449 §6.7)."""
    if text.lower() == "never":
        return None
    found = re.fullmatch(r"([0-9]{1,5})\s*[dD]", text)
    if found is None:
        raise BadValue(f"{text!r} is not a number of days", "write never, or whole days such as 90d")
    if int(found[1]) == 0:
        raise BadValue(
            f"{text!r} would remove what one program has fetched before the user's others have",
            "write never, or 1d at least",
        )
    return int(found[1])


def seconds(text: str) -> float:
    number, unit = _quantity(text, "a time", "write a number with s, m, h or d, such as 15m")
    if unit.lower() not in TIMES:
        raise BadValue(f"{text!r} is not a time", f"write {number}s, {number}m, {number}h or {number}d")
    return number * TIMES[unit.lower()]


def written(number: float, units: Mapping[str, float]) -> str:
    """A whole number of octets (``SIZES``) or seconds (``TIMES``) as mail.ini has it: ``25MiB``, ``5m``."""
    fitting = [(factor, unit) for unit, factor in units.items() if number and not number % factor]
    factor, unit = max(fitting, default=(1, min(units, key=units.__getitem__)))
    return f"{number / factor:.0f}{unit}"


def _quantity(text: str, kind: str, fix: str) -> tuple[int, str]:
    """A positive number and its unit."""
    found = _NUMBER.match(text)
    if found is None or int(found[1]) == 0:
        raise BadValue(f"{text!r} is not {kind}", fix)
    return int(found[1]), found[2]


def up_to(most: int) -> Callable[[str], int]:
    """None or more."""

    def number(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) > most:
            raise BadValue(f"{text!r} is not a number that can be used here", f"write a whole number from 0 to {most}")
        return int(text)

    return number


def count(text: str) -> int:
    """One or more."""
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) == 0:
        raise BadValue(f"{text!r} is not a number", "write a whole number, 1 or more")
    return int(text)


def choice(*options: str) -> Callable[[str], str]:
    """One of some words."""

    def chosen(text: str) -> str:
        if text.lower() not in options:
            raise BadValue(f"{text!r} is not known here", f"write {', '.join(options[:-1])} or {options[-1]}")
        return text.lower()

    return chosen


def yes_or_no(text: str) -> bool:
    return choice("no", "yes")(text) == "yes"


def switch(text: str) -> bool:
    return choice("off", "on")(text) == "on"


def domain(text: str) -> str:
    """A domain name in lower case, in the form that DNS has: ``例子.测试`` is ``xn--fsqu00a.xn--0zwm56d``."""
    try:
        name = to_ascii(text).removesuffix(".")
    except ValueError as error:
        raise BadValue(str(error), "write a name such as mail.example.com") from None
    # A name that ends in a number would be an address (RFC 1123 §2.1).
    if not _DOMAIN.match(name) or name.rpartition(".")[2].isdigit():
        raise BadValue(f"{text!r} is not a domain name", "write a name such as mail.example.com")
    return name


def network(text: str) -> Network:
    """Clients that may relay; :mod:`.openness` says how many are too many."""
    try:
        parsed = ip_network(text, strict=False)
    except ValueError:
        raise BadValue(f"{text!r} is not a network", "write an address or a prefix, such as 192.0.2.0/24") from None
    if "/" in text and text != str(parsed) and ip_address(text.partition("/")[0]) != parsed.network_address:
        raise BadValue(f"{text!r} begins in the middle of a network", f"write {parsed}")
    return parsed


def address(text: str) -> Address:
    try:
        parsed = Address.parse(text)
    except ValueError as error:
        raise BadValue(str(error), "write a full address, such as postmaster@example.com") from None
    return parsed


def fetcher(text: str) -> tuple[str, Address]:
    """Whose mail may be fetched, and by whom: ``backup.example.com:bob@example.com``."""
    name, colon, account = text.partition(":")
    if not colon:
        raise BadValue(f"{text!r} names no account", "write domain:account, such as backup.example.com:bob@example.com")
    return domain(name), address(account)


def path(text: str, folder: Path) -> Path:
    """A path; a relative one begins in ``folder``. Without ``..``, so that messages name it as people would."""
    if not text or "\0" in text or "\n" in text:
        raise BadValue(f"{text!r} is not a path", "write the name of one file or folder")
    return Path(os.path.normpath(folder / text))


def paths(text: str, folder: Path) -> tuple[Path, ...]:
    """One path a line, for there may be spaces in it."""
    return tuple(path(line, folder) for line in text.split("\n") if line)


def tls_policy(text: str) -> TlsPolicy:
    """``required`` for all services, or ``submission:required pop3:none``; a bare word is for those not named."""
    known = choice("none", "opportunistic", "required")
    policies: dict[str, str] = {}
    for word in words(text):
        service, colon, policy = word.rpartition(":")
        if colon:
            service = choice("smtp", "submission", "pop3")(service)
        if service in policies:
            raise BadValue(f"{word!r} says again what was said already", "write one policy for each service")
        policies[service] = known(policy)
    usual = policies.pop("", "opportunistic")
    return TlsPolicy(**{"smtp": usual, "submission": usual, "pop3": usual, **policies})


def delimiter(text: str) -> str:
    if len(text) > 1 or text in ("@", ".", '"') or text.isalnum():
        raise BadValue(f"{text!r} cannot separate", "write one character such as + or -, or nothing")
    return text
