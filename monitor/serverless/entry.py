"""The one container of this process, and the event loop that it lives on."""

import asyncio
import os
from collections.abc import Mapping
from typing import Any, Final

from monitor import logs
from monitor.serverless.container import Container
from monitor.serverless.time_left import Context


class Function:
    """Lambda calls it from one thread, once at a time."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self.runner: asyncio.Runner | None = None
        self.container: Container | None = None

    def call(self, event: object, context: Context | None) -> Any:
        """Answer one call. Raises `MonitorError` where Lambda has to make it again."""
        if self.runner is None or self.container is None:
            self.runner = asyncio.Runner()
            self.container = Container(self.environment)
        return self.runner.run(self.container.invoke(event, context))

    def close(self) -> None:
        """End what was set up. Lambda does not say when a container ends; others may."""
        if self.runner is not None and self.container is not None:
            self.runner.run(self.container.close())
            self.runner.close()
        self.runner = self.container = None


FUNCTION: Final = Function(os.environ)


def call(event: object, context: Context | None) -> Any:
    """The same with this process's own function, which logs as Lambda wants it: JSON, a line each."""
    if FUNCTION.runner is None:
        logs.set_up("info", "json")
    return FUNCTION.call(event, context)
