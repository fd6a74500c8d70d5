"""Mail programs that send a letter, each called as its manual says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.live.office import Office
from tests.live.programs import run
from tests.live.wire import DOMAIN

Send = Callable[[Office, str, bytes, Path], None]

SENDER = "friend@far.test"


# ---- Send a letter (CRLF line ends) to one of our users, as another server would


def swaks(office: Office, user: str, letter: bytes, folder: Path) -> None:
    """It ends the last line by itself."""
    (folder / "letter").write_bytes(letter.removesuffix(b"\r\n"))
    place = ("--server", "127.0.0.1", "--port", office.port.smtp, "--helo", "client.test")
    envelope = ("--from", SENDER, "--to", f"{user}@{DOMAIN}")
    run("swaks", *place, *envelope, "--data", f"@{folder / 'letter'}", "--hide-all")


def curl(office: Office, user: str, letter: bytes, folder: Path) -> None:
    (folder / "letter").write_bytes(letter)
    place = f"smtp://127.0.0.1:{office.port.smtp}/client.test"
    envelope = ("--mail-from", SENDER, "--mail-rcpt", f"{user}@{DOMAIN}")
    run("curl", "-sS", place, *envelope, "--upload-file", folder / "letter")
