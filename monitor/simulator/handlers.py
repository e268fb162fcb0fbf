"""Finds the handler of a function by its name, as Lambda's setting `Handler` gives it."""

import importlib
from collections.abc import Callable
from typing import Any

from monitor.simulator.functions import Context, Handler


class Named:
    """A handler and, if its module has one, the function `close` that ends what it began."""

    def __init__(self, handler: Handler, close: Callable[[], None] | None) -> None:
        self.handler = handler
        self.close = close or (lambda: None)

    def __call__(self, event: Any, context: Context) -> Any:
        return self.handler(event, context)


def find(name: str) -> Named:
    """`name`: `module:handler`; Lambda's own `module.handler` means the same.

    Raises ValueError where there is no such thing.
    """
    where, _, attribute = name.partition(":") if ":" in name else name.rpartition(".")
    try:
        module = importlib.import_module(where) if where else None
        found = getattr(module, attribute, None)
    except ImportError as error:
        raise ValueError(f"--function {name!r}: {error}") from error
    if callable(found):
        return Named(found, getattr(module, "close", None))
    raise ValueError(f"--function {name!r} is no MODULE:HANDLER")
