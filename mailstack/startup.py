"""How twistd starts us: whatever is wrong is one clear line and an exit code, never a traceback."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, TextIO

from twisted.internet.main import installReactor
from twisted.logger import ILogObserver
from twisted.python import logfile
from twisted.python.usage import Options as UsageOptions

from mailstack.config.locate import locate
from mailstack.config.problem import ConfigurationError
from mailstack.config.reader import load
from mailstack.config.settings import Settings
from mailstack.log import LogFile

EX_CONFIG = 78  # sysexits.h

#: Seconds after which a thread may have the interpreter from the reactor, instead of 5 ms: what it does with it is to
#: begin or to end a sync for which many wait, and takes no time.
SWITCH = 0.00002

#: twistd finds the maker of its log observer by name alone; so what that needs is left here, once a process.
_running: list[Options] = []


def make_observer() -> ILogObserver:
    """Called by twistd, when the command line is understood."""
    # Not before: until now twistd may be told to use another one.
    from twisted.internet import reactor

    def soon(write: Callable[[], None]) -> None:
        """When those whom the lines are about have their answers, which leave in the next round of the reactor.

        At once if it does not run."""
        if reactor.running:
            reactor.callLater(0, reactor.callLater, 0, write)
        else:
            write()

    options = _running[-1]
    threaded: Any = reactor
    log = LogFile(options.settings.log, options.log_file(threaded.callFromThread), soon)
    reactor.addSystemEventTrigger("after", "shutdown", log.flush)
    return log


def choose_reactor() -> None:
    """Ours, unless ``twistd --reactor`` has chosen one, or one is in use already."""
    if "twisted.internet.reactor" in sys.modules:
        return
    with suppress(ImportError):  # this system has no epoll(7)
        from mailstack.reactor import Reactor

        installReactor(Reactor())  # type: ignore[no-untyped-call]  # Twisted's reactors have no types


class RotatedFile(logfile.LogFile):
    """Twisted's, but that it does not stay closed if a new file cannot be opened in the moment of the rotation."""

    def write(self, data: str) -> None:
        if self._file.closed:
            self._openFile()  # type: ignore[no-untyped-call]
        super().write(data)  # type: ignore[no-untyped-call]

    def rotate_now(self) -> None:
        """On SIGUSR1. If the disk refuses, the log goes on in the file that there is."""
        with suppress(OSError, ValueError):
            self.rotate()  # type: ignore[no-untyped-call]


class Options(UsageOptions):
    """``twistd mailstack -c FILE``."""

    longdesc = (
        "A complete mail server for a small office: SMTP, submission, an outbound queue, Maildirs and POP3. "
        "Everything else is said in the configuration file; 'mailstack check' tests it."
    )
    optParameters = (
        ("config", "c", None, "The configuration [$MAILSTACK_CONFIG, else etc/mail.ini, else /etc/mailstack/mail.ini]"),
    )
    settings: Settings
    parent: Any  # twistd's own options; None when there is no twistd

    def postOptions(self) -> None:
        try:
            self.settings = load(locate(self["config"], os.environ).resolve())
        except ConfigurationError as error:
            print(error, file=sys.stderr)
            sys.exit(EX_CONFIG)
        if self.parent is not None:
            # Until we can read things again there is nothing to read again, and nothing to die of.
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            sys.setswitchinterval(SWITCH)
            choose_reactor()
        if self.parent is not None and not self.parent.get("logger") and not self.parent.get("syslog"):
            _running.append(self)
            self.parent["logger"] = f"{__name__}.{make_observer.__name__}"

    def log_file(self, call: Callable[[Callable[[], None]], object]) -> TextIO:
        """As twistd chooses: --logfile, else standard output in the foreground, else twistd.log. ``call`` makes a call
        in a later round of the reactor."""
        name = self.parent.get("logfile")
        if self.parent.get("nodaemon") and name in (None, "", "-"):
            return sys.stdout
        if name == "-":
            sys.exit("Daemons cannot log to stdout, exiting!")
        make: Any = RotatedFile.fromFullPath
        file = make(name or "twistd.log", defaultMode=0o640)
        # Not in the midst of whatever is at work, or of another rotation.
        signal.signal(signal.SIGUSR1, lambda number, frame: call(file.rotate_now))
        return file  # type: ignore[no-any-return]  # LogFile writes text, and says nothing of types

    @property
    def owner(self) -> tuple[int, int]:
        """User and group that the server will run as (twistd --uid --gid); -1 leaves one as it is."""
        if self.parent is None:
            return -1, -1
        uid, gid = self.parent.get("uid"), self.parent.get("gid")
        return -1 if uid is None else uid, -1 if gid is None else gid

    def clearly(self, step: Callable[[], None]) -> None:
        """Take a step of the start; when it fails, end with one line that says why."""
        try:
            step()
        except (OSError, ValueError) as error:
            self._fail(str(error))

    def _fail(self, reason: str) -> NoReturn:
        line = f"mailstack cannot start: {reason}"
        if self.parent is not None and self.parent.get("statusPipe") is not None:
            # We are the daemon already, and standard error is the log. twistd hands the exception to the process that
            # still has the terminal, but no more than 98 characters of it.
            print(line, file=sys.stderr)
            raise RuntimeError(reason)
        if self.parent is not None and self.parent.get("pidfile"):
            Path(self.parent["pidfile"]).unlink(missing_ok=True)
        print(line, file=sys.stderr)
        sys.exit(1)
