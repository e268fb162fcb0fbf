"""What import contracts cannot see: how the code catches errors, starts tasks and how long it is."""

import ast
from collections.abc import Iterator
from pathlib import Path

import monitor

ROOT = Path(monitor.__file__).parent
LONGEST_MODULE = 350
"""Lines. A file is taken in at one sitting."""
REHEARSAL = ("simulator", "demo")
"""They play AWS and its attackers; nobody's keys depend on them."""


def modules(*, rehearsal: bool) -> Iterator[tuple[str, str]]:
    """Name and text of every module."""
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if rehearsal or parts[0] not in REHEARSAL:
            yield ".".join(parts), path.read_text(encoding="utf-8")


def nodes() -> Iterator[tuple[str, ast.AST]]:
    """Every node of the daemon's code, with its module's name."""
    for name, text in modules(rehearsal=False):
        for node in ast.walk(ast.parse(text)):
            yield name, node


def swallows_all(handler: ast.ExceptHandler) -> bool:
    """Whether it catches any error and ends otherwise than by raising it again."""
    if isinstance(handler.body[-1], ast.Raise) and handler.body[-1].exc is None:
        return False
    caught = handler.type
    types = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return caught is None or any(
        isinstance(one, ast.Name) and one.id in {"Exception", "BaseException"} for one in types
    )


def is_called(node: ast.AST, *names: str) -> bool:
    """Whether the node is a call of a function or method of that name."""
    if not isinstance(node, ast.Call):
        return False
    called = node.func
    return getattr(called, "attr", getattr(called, "id", "")) in names


def test_errors_of_any_kind_are_caught_around_one_detector_one_action_and_one_delivery() -> None:
    """Anywhere else a broad `except` hides a defect that should be seen and counted."""
    found = [
        name for name, node in nodes() if isinstance(node, ast.ExceptHandler) and swallows_all(node)
    ]
    assert found == ["consumer", "detection", "response"]


def test_errors_of_any_kind_are_never_suppressed() -> None:
    found = [
        name
        for name, node in nodes()
        if is_called(node, "suppress")
        and isinstance(node, ast.Call)
        and any(getattr(one, "id", "") in {"Exception", "BaseException"} for one in node.args)
    ]
    assert found == []


def test_every_task_has_a_name() -> None:
    """It is what people read in a log when the task is late, stuck or broken."""
    nameless = [
        f"{name}:{node.lineno}"
        for name, node in nodes()
        if isinstance(node, ast.Call)
        and is_called(node, "create_task", "ensure_future")
        and not any(keyword.arg == "name" for keyword in node.keywords)
    ]
    assert nameless == []


def test_no_module_is_longer_than_one_sitting() -> None:
    too_long = {
        name: lines
        for name, text in modules(rehearsal=True)
        if (lines := len(text.splitlines())) > LONGEST_MODULE
    }
    assert too_long == {}
