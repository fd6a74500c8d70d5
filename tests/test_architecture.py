"""The shape of the program: who may import what, and how large a piece may get."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

ROOT = Path(__file__).parent.parent
STAGES = {"accounts", "admin", "delivery", "intake", "maildir", "queue", "server", "spool"}
COMMON = {"config", "durable", "eager", "interfaces", "message", "model", "owners", "place", "protocol", "versions"}

#: What each layer may import of the others. Stages know the common parts, and never another stage.
LAYERS: dict[str, set[str]] = {
    "model": set(),
    "config": {"model"},
    "protocol": {"model"},
    "message": {"model"},
    "interfaces": {"model", "protocol"},
    "durable": {"owners"},
    "owners": set(),
    "place": set(),
    "eager": set(),
    "versions": set(),
    "log": {"config", "interfaces", "model"},
    "reactor": set(),
    "startup": {"config", "log", "reactor"},
    # The server is put together in three pieces.
    "outbound": {"delivery", "maildir", "queue", "spool"} | COMMON,
    "inbound": {"accounts", "intake", "maildir", "outbound", "server"} | COMMON,
    "service": STAGES | COMMON | {"inbound", "log", "outbound", "startup"},
    **dict.fromkeys(STAGES - {"admin"}, COMMON),
    # The other composition root: commands work on the files and the queue as the server does.
    "admin": STAGES | COMMON | {"outbound"},
}

#: Nobody imports them: what they need is given to them, what they make is theirs alone.
ROOTS = {"admin", "inbound", "outbound", "service", "startup"}
ROOTS_OF_ROOTS = {
    ("admin", "outbound"),
    ("inbound", "outbound"),
    ("service", "inbound"),
    ("service", "outbound"),
    ("service", "startup"),
}

#: Twisted stays at the edges: where bytes, time and threads come from.
TWISTED = {
    "mailstack.admin.simulation",
    "mailstack.config.endpoints",
    "mailstack.delivery.connection",
    "mailstack.delivery.courier",
    "mailstack.delivery.deadline",
    "mailstack.delivery.line",
    "mailstack.delivery.pool",
    "mailstack.delivery.remote",
    "mailstack.delivery.tls",
    "mailstack.eager",
    "mailstack.inbound",
    "mailstack.log",
    "mailstack.outbound",
    "mailstack.queue.attempts",
    "mailstack.queue.damage",
    "mailstack.queue.dispatch",
    "mailstack.queue.out_of_turn",
    "mailstack.queue.overtime",
    "mailstack.queue.gathering",
    "mailstack.queue.report",
    "mailstack.queue.sent",
    "mailstack.queue.sweep",
    "mailstack.queue.telling",
    "mailstack.queue.work",
    "mailstack.reactor",
    "mailstack.service",
    "mailstack.spool.commit",
    "mailstack.spool.group_sync",
    "mailstack.spool.disk",
    "mailstack.startup",
}
TWISTED_STAGES = {"server"}
TWISTED_PACKAGES = {"twisted", "OpenSSL", "service_identity"}

#: Values and protocols know nothing of the world.
PURE = {"message", "model", "protocol"}
WORLD = {"asyncio", "io", "os", "random", "secrets", "select", "socket", "ssl", "subprocess", "threading", "time"}

#: Only these speak to whoever started us.
PRINTING = {"admin", "startup"}

DURABLE_CALLS = {"fdatasync", "fsync", "hardlink_to", "link", "rename", "syncfs"}

MAX_MODULE = 330  # lines
MAX_FUNCTION = 60  # lines


@frozen
class Module:
    name: str  #: ``mailstack.queue.dispatch``
    text: str
    tree: ast.Module

    @property
    def layer(self) -> str:
        return layer_of(self.name)

    def imports(self) -> Iterator[str]:
        """All modules that it names, also inside of functions."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0 and node.module, f"{self.name}: relative import"
                yield from (f"{node.module}.{alias.name}" for alias in node.names)

    def ours(self) -> Iterator[str]:
        return (name for name in self.imports() if name.startswith("mailstack."))

    def packages(self) -> set[str]:
        return {name.partition(".")[0] for name in self.imports()}

    def calls(self) -> Iterator[str]:
        """The names, without what they belong to, of all that is called."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call):
                yield getattr(node.func, "attr", getattr(node.func, "id", ""))

    def functions(self) -> Iterator[tuple[str, int]]:
        """Names and lines."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
                yield node.name, node.end_lineno - node.lineno + 1


def layer_of(name: str) -> str:
    """The part after ``mailstack``; "" for the package itself."""
    return name.split(".")[1] if "." in name else ""


def read(path: Path) -> Module:
    parts = path.relative_to(ROOT).with_suffix("").parts
    name = ".".join(part for part in parts if part != "__init__")
    text = path.read_text()
    return Module(name, text, ast.parse(text))


MODULES = [read(path) for path in sorted((ROOT / "mailstack").rglob("*.py"))]


def test_imports_of_our_own() -> None:
    def strangers(module: Module) -> set[str]:
        allowed = LAYERS.get(module.layer, set()) | {module.layer}
        return {name for name in module.ours() if layer_of(name) not in allowed}

    assert {module.name: found for module in MODULES if (found := strangers(module))} == {}


def test_nobody_imports_the_roots() -> None:
    pairs = {(module.layer, layer_of(name)) for module in MODULES for name in module.ours()}
    assert {(layer, root) for layer, root in pairs if root in ROOTS and root != layer} == ROOTS_OF_ROOTS


def test_twisted_stays_at_the_edges() -> None:
    """An entry that is not needed any more goes away."""
    using = {module.name for module in MODULES if module.packages() & TWISTED_PACKAGES}
    assert {name for name in using if layer_of(name) not in TWISTED_STAGES} == TWISTED


def test_pure_layers_do_not_know_the_world() -> None:
    pure = [module for module in MODULES if module.layer in PURE]
    assert {module.name: found for module in pure if (found := module.packages() & WORLD)} == {}


def test_only_the_command_line_prints() -> None:
    printing = {module.layer for module in MODULES for call in module.calls() if call == "print"}
    assert printing <= PRINTING


def test_only_durable_syncs_and_links() -> None:
    """The promises about the disk are kept in one place."""
    assert {module.name for module in MODULES if DURABLE_CALLS & set(module.calls())} == {"mailstack.durable"}


def test_sizes_of_modules() -> None:
    """A module fits into a head."""
    sizes = {module.name: len(module.text.splitlines()) for module in MODULES}
    assert {name: lines for name, lines in sizes.items() if lines > MAX_MODULE} == {}


def test_no_possessive_groups() -> None:
    """Python before 3.11.5 gets them wrong: it keeps what the last round had matched before it failed."""
    found = [module.name for module in MODULES if re.search(r"\)[*+?]\+", module.text)]
    assert found == []


def test_sizes_of_functions() -> None:
    """A function fits on a screen."""
    sizes = {f"{module.name}.{name}": lines for module in MODULES for name, lines in module.functions()}
    assert {name: lines for name, lines in sizes.items() if lines > MAX_FUNCTION} == {}


def test_every_module_says_what_it_is_for() -> None:
    assert [module.name for module in MODULES if not ast.get_docstring(module.tree)] == []
