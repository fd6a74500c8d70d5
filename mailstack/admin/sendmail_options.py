"""The options of ``sendmail``, as scripts have given them for forty years."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from attrs import evolve, frozen

from mailstack.admin.sendmail_errors import EX_USAGE, Unsent
from mailstack.model import xtext
from mailstack.protocol import esmtp_parameters

#: Options without a value, with one (in the same word, or the next one), and with one in the same word or none.
PLAIN, VALUED, ATTACHED = "GIUcimnstvx", "ABCDFLNORVXbefhopr", "dq"

HELP = """\
Usage: sendmail [OPTION]... [RECIPIENT]...

Takes a letter from standard input and puts it into the queue of mailstack.

  -t          also to whom To, Cc and Bcc name; Bcc is removed
  -i, -oi     a line with a single dot does not end the letter
  -f SENDER   the sender, to whom a bounce goes; '' or '<>' for none; also -r
  -F NAME     the name in From, if the letter has no From
  -N WHEN     when to report: never, or success, failure, delay with commas
  -R WHAT     what a report brings back: full or hdrs
  -V ENVID    a mark that reports repeat
  -v          say under which id the letter is queued
  -C FILE     the configuration of mailstack
  -bs         speak SMTP on standard input and output
  -bp, -bi    list the queue, as mailq; do what newaliases does, which is nothing
  --          recipients follow, whatever they look like

Options of other sendmails that only say how to work (-oXX, -OXX=YY, -m, -n and so on) are ignored.
Exit codes are those of sysexits.h: 0 when the letter is ours, 75 to try again later."""


@frozen
class Options:
    recipients: tuple[str, ...] = ()
    mode: str = "m"  #: of -b: m (a letter), s (SMTP), p (list the queue), i (aliases), h (help)
    from_header: bool = False
    dot: bool = True  #: a line with a single one ends the letter
    sender: str | None = None  #: None: the user who is at work
    name: str | None = None
    notify: str = ""
    ret: str = ""
    envid: str = ""  #: xtext
    verbose: bool = False
    config: str | None = None


def parse(words: Sequence[str]) -> Options:
    """Options may stand before and behind recipients. Unsent: wrong usage."""
    options = Options()
    for option, value in _split(words):
        take = _TAKE.get(option)
        if take is not None:
            options = take(options, value)
    return options


def _split(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Options and their values; the option of a recipient is "". As getopt(3) does it."""
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            yield from (("", recipient) for recipient in rest)
            return
        if word in ("--help", "-?"):
            yield "b", "h"
        elif word.startswith("-") and word != "-":
            yield from _cluster(word[1:], rest)
        else:
            yield "", word


def _cluster(letters: str, rest: list[str]) -> Iterator[tuple[str, str]]:
    """The options of one word; a value may be the first of ``rest``, and is taken away from there."""
    while letters:
        option, letters = letters[0], letters[1:]
        if option in PLAIN:
            yield option, ""
            continue
        if option in VALUED:
            if not letters and not rest:
                raise Unsent(EX_USAGE, f"-{option} needs a value")
            yield option, letters or rest.pop(0)
        elif option in ATTACHED:
            yield option, letters
        else:
            raise Unsent(EX_USAGE, f"there is no option -{option}; see sendmail --help")
        return


def _mode(options: Options, value: str) -> Options:
    if value not in ("m", "s", "p", "i", "h"):
        raise Unsent(EX_USAGE, f"-b{value} is not known here: the server is started by twistd; see sendmail --help")
    return evolve(options, mode=value)


def _queue(options: Options, value: str) -> Options:
    raise Unsent(EX_USAGE, "-q is not known here: what waits is tried at once by mailstack queue retry --all")


def _judged(value: str, parameter: esmtp_parameters.Parameter) -> str:
    """A value that goes into a command as it is, if it may stand there."""
    try:
        parameter.read(value)
    except ValueError:
        raise Unsent(EX_USAGE, f"{value!r} is not known here; see sendmail --help") from None
    return value.upper()


def _body(options: Options, value: str) -> Options:
    """Judged alone: what the letter has can be seen in it."""
    _judged(value, esmtp_parameters.MAIL["BODY"])
    return options


def _envid(options: Options, value: str) -> Options:
    encoded = xtext.encode(value)
    try:
        xtext.envelope_id(encoded)
    except ValueError:
        raise Unsent(EX_USAGE, f"{value!r} cannot be a mark: printable ASCII, 100 characters at most") from None
    return evolve(options, envid=encoded)


def _sender(options: Options, value: str) -> Options:
    return evolve(options, sender=value)


#: What they do; those that are missing are ignored.
_TAKE: dict[str, Callable[[Options, str], Options]] = {
    "": lambda options, value: evolve(options, recipients=(*options.recipients, value)),
    "B": _body,
    "C": lambda options, value: evolve(options, config=value),
    "F": lambda options, value: evolve(options, name=value),
    "I": lambda options, value: evolve(options, mode="i"),
    "N": lambda options, value: evolve(options, notify=_judged(value, esmtp_parameters.RCPT["NOTIFY"])),
    "R": lambda options, value: evolve(options, ret=_judged(value, esmtp_parameters.MAIL["RET"])),
    "V": _envid,
    "b": _mode,
    "f": _sender,
    "i": lambda options, value: evolve(options, dot=False),
    "o": lambda options, value: evolve(options, dot=False) if value == "i" else options,
    "q": _queue,
    "r": _sender,
    "t": lambda options, value: evolve(options, from_header=True),
    "v": lambda options, value: evolve(options, verbose=True),
}
