"""Settings for tests of delivery: only what it reads is real."""

from __future__ import annotations

from pathlib import Path

from mailstack.config.settings import (
    Accounts,
    Dns,
    Limits,
    Listener,
    Log,
    Pop3Listener,
    Queue,
    Relay,
    Route,
    Server,
    Settings,
    Smarthost,
    SmtpListener,
    Spool,
    Tls,
)
from mailstack.model.address import Address

NO_SMARTHOST = Smarthost("", 587, "", None, "required")


def settings(*routes: tuple[str, Route], smarthost: Smarthost = NO_SMARTHOST) -> Settings:
    nowhere = Path("/nowhere")
    return Settings(
        source=nowhere,
        server=Server("mx.office.test", ("office.test",), nowhere, Address("postmaster", "office.test")),
        accounts=Accounts(nowhere, None, "+", None),
        smtp=SmtpListener(),
        submission=Listener(()),
        pop3=Pop3Listener(()),
        tls=Tls(None, None),
        relay=Relay((), ()),
        queue=Queue((60.0,), 1.0, 1.0, (), 1, 1),
        routes=routes,
        smarthost=smarthost,
        spool=Spool("auto"),
        dns=Dns(()),
        limits=Limits(1, 1, 1, 1, 1, 1, 1.0, 1.0, 1.0),
        log=Log("text", "info"),
    )
