"""The table of who may send to whom, for people: grouped, so that it fits on a screen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from mailstack.admin.output import clean, table
from mailstack.admin.truth_table import Option, Row

HEAD = ("", "TO", "ANSWER", "DECIDES", "WHERE")
EVERYBODY = "everybody"  # instead of the same answer to each

Cells = tuple[str, ...]


def written(option: Option) -> str:
    section, key = option
    return f"[{section}] {key}"


def listing(rows: Sequence[Row], line: Callable[[Option], str]) -> Iterator[str]:
    """By port; the clients that are treated alike stand above what becomes of their mail. ``line`` says where an option
    is written."""
    groups = list(_groups(rows, line))
    head, *lines = table(HEAD, [cells for _, _, block in groups for cells in block])
    yield head
    body, last = iter(lines), ""
    for port, clients, block in groups:
        if port != last:
            yield port
        last = port
        for client in clients:
            yield clean(f"  {client}")
        yield from (next(body) for _ in block)


def _groups(rows: Sequence[Row], line: Callable[[Option], str]) -> Iterator[tuple[str, list[str], tuple[Cells, ...]]]:
    clients: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        clients.setdefault((written(row.port), _client(row)), []).append(row)
    alike: dict[tuple[str, tuple[Cells, ...]], list[str]] = {}
    for (port, client), inside in clients.items():
        alike.setdefault((port, _block(inside, line)), []).append(client)
    for (port, block), names in alike.items():
        yield port, names, block


def _client(row: Row) -> str:
    words = [f"{row.who} ({row.client})"]
    if row.tls != "either" and row.port[1] != "listen_tls":
        words.append("over TLS" if row.tls == "yes" else "without TLS")
    if row.login != "no":
        words.append("logged in" if row.login == "yes" else f"log-in refused: {' '.join(row.login.split()[:2])}")
    return ", ".join(words)


def _block(rows: Sequence[Row], line: Callable[[Option], str]) -> tuple[Cells, ...]:
    answers = [("taken" if row.taken else row.answer, written(row.decides), line(row.decides)) for row in rows]
    if len(rows) > 1 and len(set(answers)) == 1:
        return (("   ", EVERYBODY, *answers[0]),)
    return tuple(("   ", f"{row.to} {row.recipient}", *answer) for row, answer in zip(rows, answers, strict=True))
