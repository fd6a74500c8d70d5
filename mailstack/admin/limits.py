"""``mailstack limits``: what holds clients back, and how often it did."""

from __future__ import annotations

from collections.abc import Mapping

import click

from mailstack.admin.output import json_out, table, utc
from mailstack.admin.site import Site
from mailstack.config.limits import LIMITS, Limit
from mailstack.config.values import SIZES, TIMES, written
from mailstack.server.strikes import Strike, Strikes, read

HEAD = ("LIMIT", "HERE", "OTHERS", "STRUCK", "LAST", "CLIENT")
#: As mail.ini writes them.
WRITTEN_IN: dict[str, Mapping[str, float]] = {"octets": SIZES, "seconds": TIMES}


@click.command(short_help="All limits, and how often each has struck.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array, an object a limit.")
@click.pass_obj
def limits(site: Site, as_json: bool) -> None:
    """All limits: what they are, what other servers have, how often each has struck, the last time and whom."""
    strikes = read(site.settings.server.data)
    if as_json:
        json_out([_as_object(site, limit, strikes) for limit in LIMITS])
        return
    rows = [_row(site, limit, _strike(limit, strikes)) for limit in LIMITS]
    click.echo("\n".join(table(HEAD, rows)))
    click.echo(f"Counted since {utc(strikes.since)}." if strikes else "The server has not counted anything yet.")


def _strike(limit: Limit, strikes: Strikes | None) -> Strike:
    return strikes.limits.get(limit.name, Strike()) if strikes else Strike()


def _row(site: Site, limit: Limit, strike: Strike) -> list[str]:
    last, client = (utc(strike.last) or "", strike.by or "local") if strike.times else ("", "")
    return [limit.name, _value(limit, site), limit.anchor, str(strike.times), last, client]


def _value(limit: Limit, site: Site) -> str:
    value = limit.value(site.settings)
    units = WRITTEN_IN.get(limit.unit)
    text = written(value, units) if units else f"{value:.0f} {limit.unit}"
    return f"{text} (fixed)" if limit.fixed else text


def _as_object(site: Site, limit: Limit, strikes: Strikes | None) -> dict[str, object]:
    strike = _strike(limit, strikes)
    return {
        "name": limit.name,
        "value": int(limit.value(site.settings)),
        "unit": limit.unit,
        "fixed": limit.fixed,
        "anchor": limit.anchor,
        "struck": strike.times,
        "since": utc(strikes.since) if strikes else None,
        "last_struck": utc(strike.last) if strike.times else None,
        "last_client": (strike.by or "local") if strike.times else None,
    }
