"""What HELP says: RFC 5321 §4.1.1.8. The table of what there is to say is :mod:`mailstack.intake.lessons`."""

from __future__ import annotations

from mailstack.intake.encryption import BEFORE_TLS
from mailstack.intake.lessons import LESSONS, Lesson
from mailstack.intake.session import Session
from mailstack.model.reply import Reply
from mailstack.protocol import smtp_events as events
from mailstack.protocol.smtp_commands import PARSERS

ALWAYS = "Any command may be answered 421 (we close), 451 (our fault, try later), 500 or 501 (not understood)"

#: What each command is when it is understood.
MEANINGS = {verb: type(PARSERS[verb](lesson.example.partition(" ")[2])) for verb, lesson in LESSONS.items()}


def on_help(session: Session, event: events.Help) -> Reply:
    topic = event.topic.partition(" ")[0]
    if topic in LESSONS:
        return _help(_lesson(session, topic, event.legal))
    commands = " ".join(verb for verb, lesson in LESSONS.items() if not lesson.elsewhere(session))
    if topic:
        return Reply(504, "5.5.4", f"No help on that; commands: {commands}")
    legal = _legal(session, event.legal)
    return _help([f"Commands: {commands}", f"Legal now: {legal}", "HELP command explains one of them", ALWAYS])


def _help(lines: list[str]) -> Reply:
    return Reply(214, "2.0.0", "\n".join(lines))


def _lesson(session: Session, verb: str, legal: tuple[str, ...]) -> list[str]:
    lesson = LESSONS[verb]
    elsewhere = lesson.elsewhere(session)
    if elsewhere:
        return [lesson.meaning, elsewhere]
    return [
        f"Syntax: {lesson.syntax}",
        lesson.meaning,
        f"Example: {lesson.example}",
        f"Answers: {', '.join(lesson.answers)}",
        _turn(session, verb, lesson, legal),
    ]


def _turn(session: Session, verb: str, lesson: Lesson, legal: tuple[str, ...]) -> str:
    """Whether this may be said now, and what else."""
    first = _first(session, verb, lesson)
    verdict = first or ("Legal now" if verb in legal else f"{verb} is out of order now")
    others = _legal(session, legal)
    return f"{verdict}: {others}" if verdict == "Legal now" else f"{verdict}; legal now: {others}"


def _first(session: Session, verb: str, lesson: Lesson) -> str:
    """What must come before it."""
    if session.lacks_tls and MEANINGS[verb] not in BEFORE_TLS:
        return "Encrypt first, by STARTTLS"
    return lesson.first(session)


def _legal(session: Session, legal: tuple[str, ...]) -> str:
    """What the order of commands allows, this port has, and nothing else stands before."""
    known = ((verb, LESSONS[verb]) for verb in legal if verb in LESSONS)
    return " ".join(
        verb for verb, lesson in known if not lesson.elsewhere(session) and not _first(session, verb, lesson)
    )
