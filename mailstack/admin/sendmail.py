"""``sendmail``: a letter from standard input into the queue, as scripts, cron and mail programs expect it."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from random import SystemRandom
from time import time

from attrs import evolve

from mailstack.admin import sendmail_ways as ways
from mailstack.admin.clean import clean
from mailstack.admin.sendmail_errors import EX_CONFIG, EX_IOERR, EX_OSERR, EX_TEMPFAIL, Unsent
from mailstack.admin.sendmail_letter import Author, Draft, House, draft, read
from mailstack.admin.sendmail_options import HELP, Options, parse
from mailstack.admin.sendmail_talk import hand_over
from mailstack.config.locate import locate
from mailstack.config.problem import ConfigurationError
from mailstack.config.reader import load
from mailstack.config.settings import Settings
from mailstack.message.header import HeaderScan
from mailstack.message.trace import Hop, received
from mailstack.model.address import Address
from mailstack.model.ids import Ids

INTERRUPTED = 130  # what a shell says of a program that ^C has ended


def run(words: Sequence[str], config: str | None) -> int:
    """The exit code; 0 only if the letter is ours, and durable."""
    try:
        _run(parse(words), config)
    except Unsent as error:
        return _fail(error.code, str(error))
    except ConfigurationError as error:
        return _fail(EX_CONFIG, str(error))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python complains of what is still to be written
        return EX_IOERR
    except OSError as error:
        return _fail(EX_TEMPFAIL, f"{error.filename or 'standard input and output'}: {error.strerror or error}")
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _fail(code: int, reason: str) -> int:
    lines = "\n".join(clean(line) for line in reason.split("\n"))
    print(f"sendmail: {lines}", file=sys.stderr)
    return code


def _run(options: Options, config: str | None) -> None:
    if options.mode == "h":
        print(HELP)
        return
    if options.mode == "i":
        return  # the server reads the aliases when they change
    found = locate(options.config or config, os.environ).absolute()
    if options.mode == "p":
        _list_queue(found)
        return
    settings = load(found, files=False)
    if options.mode == "s":
        _converse(settings)
    else:
        said = _send(settings, options)
        if options.verbose:
            print(said)


def _list_queue(config: Path) -> None:
    """As the queue's own command does it; loaded here, because letters need none of it."""
    from mailstack.admin.cli import main

    main(["-c", str(config), "mailq"], prog_name="mailstack")


def _new_ids() -> Callable[[], str]:
    return Ids(time, SystemRandom().getrandbits)


def _converse(settings: Settings) -> None:
    userid = os.getuid()
    if ways.spool_is_ours(settings.server.data):
        ways.Inside(settings, userid, _new_ids()).converse()
    else:
        ways.pass_on(ways.port_of(settings))


def _send(settings: Settings, options: Options) -> str:
    userid = os.getuid()
    if sys.stdin is None:
        raise Unsent(EX_IOERR, "there is no standard input to read a letter from")
    text = read(sys.stdin.buffer, options.dot, settings.limits.message_size)
    id, home = _new_ids()(), settings.server.domains[0]
    house = House(home, settings.limits.header_size)
    letter = draft(text, options, _author(userid, home, options), house, f"<{id}@{settings.server.hostname}>", time())
    if ways.spool_is_ours(settings.server.data):
        inside = ways.Inside(settings, userid, lambda: id, _message_id(letter))
        return hand_over(inside, letter, options)
    target = ways.port_of(settings)
    letter = evolve(letter, octets=_trace(settings, userid, id) + letter.octets)
    hint = f"for mail to other domains add 127.0.0.0/8 to [relay] networks in {settings.source}, or send as root"
    return hand_over(ways.call(target), letter, options, encrypt=settings.tls.policy.smtp == "required", hint=hint)


def _trace(settings: Settings, userid: int, id: str) -> bytes:
    """The port will only see that it comes from this machine."""
    return received(Hop("", "", settings.server.hostname, "", "", userid=userid), id, (), time())


def _author(userid: int, home: str, options: Options) -> Author:
    """Who is at work, as the system knows it."""
    try:
        entry = pwd.getpwuid(userid)
    except KeyError:
        if options.sender is None:
            raise Unsent(EX_OSERR, f"user {userid} has no name; give a sender with -f") from None
        return Author(Address(f"uid{userid}", home), "")
    name = os.environ.get("NAME") or entry.pw_gecos.partition(",")[0].replace("&", entry.pw_name.capitalize())
    return Author(Address(entry.pw_name, home), name)


def _message_id(letter: Draft) -> str:
    """For the log."""
    scan = HeaderScan(2 * len(letter.octets))
    scan.feed(letter.octets)
    return scan.message_id
