"""What is set up once, at the first call, and kept for all that follow: the function's container.

Between two calls everything stands still: no task runs, no time is noticed. So what the daemon does
by itself all the while, such as to show that it lives and to learn what others know, is done at
the beginning of a call, where it is due, and beside its work.
"""

import sys
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, Final

import structlog
from prometheus_client import CollectorRegistry

from monitor.aws import Aws
from monitor.clock import Clock, SystemClock
from monitor.errors import MonitorError, Unreadable
from monitor.ledger import StoreError
from monitor.metrics import Metrics
from monitor.serverless import emf
from monitor.serverless.given import Given, settings_text
from monitor.serverless.guard import Guard
from monitor.serverless.metrics import InvocationMetrics
from monitor.serverless.time_left import Context, TimeLeft
from monitor.serverless.triggers import recognise

NAMESPACE: Final = "kms-monitor"
"""Of the metrics, while it is not known what the settings say."""
LOOK_AGAIN: Final = 60.0
"""Seconds after which settings that may change are read again, at the next call."""
ASK_AGAIN: Final = 3600.0
"""Seconds after which organizations are asked again which accounts they have."""


class Container:
    """`invoke` for each call, one after the other; `close` at the end, if there is one."""

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        clock: Clock | None = None,
        write: Callable[[str], object] | None = None,
    ) -> None:
        """`write` takes the lines with the metrics: what Lambda prints becomes a log."""
        self.environment = environment
        self.clock = clock or SystemClock()
        self.write = write or printed
        self.metrics = Metrics(CollectorRegistry())
        self.counts = InvocationMetrics(self.metrics.registry)
        self.changes = emf.Changes(self.metrics.registry)
        self.namespace = NAMESPACE
        self.guard: Guard | None = None
        self.closing = AsyncExitStack()
        self.looked_at = self.set_up_at = 0.0
        self.log = structlog.get_logger("function")

    async def invoke(self, event: object, context: Context | None) -> Any:
        """The answer to one call. Raises `MonitorError` where Lambda has to make it again."""
        request = context.aws_request_id if context is not None else ""
        began, trigger, result = self.clock.monotonic(), "unknown", "failed"
        with structlog.contextvars.bound_contextvars(request_id=request):
            try:
                work = recognise(event, self.clock.now())
                trigger = work.trigger.value
                guard = await self.ready(context)
                answer = await guard.do(work, self.time_of(guard, context))
                result = "given_back" if answer.get("batchItemFailures") else "done"
            except (MonitorError, StoreError) as error:
                result = "refused" if isinstance(error, Unreadable) else "failed"
                self.log.error("call failed", trigger=trigger, problem=str(error))
                raise
            else:
                return answer
            finally:
                self.counts.invocations.labels(trigger, result).inc()
                self.counts.seconds.labels(trigger).observe(self.clock.monotonic() - began)
                self.tell_metrics()

    def tell_metrics(self) -> None:
        """Print what changed; of a call that failed, too."""
        changed = self.changes.take()
        if self.namespace:
            told = emf.lines(changed, self.namespace, self.clock.now())
            self.write("".join(f"{one}\n" for one in told))

    def time_of(self, guard: Guard, context: Context | None) -> TimeLeft:
        given = guard.settings.function
        return TimeLeft(
            self.clock, context, margin=given.margin_seconds, enough=given.begin_seconds
        )

    async def ready(self, context: Context | None) -> Guard:
        """What works, set up by now. What could not be set up is tried again at the next call."""
        if self.guard is None or self.clock.monotonic() >= self.looked_at + LOOK_AGAIN:
            await self.look_at_settings()
        assert self.guard is not None
        await self.guard.wake(context.invoked_function_arn if context is not None else "")
        return self.guard

    async def look_at_settings(self) -> None:
        """Set up by the settings as they are now. What works stays if that cannot be done."""
        guard, now = self.guard, self.clock.monotonic()
        self.looked_at = now
        old = guard is not None and guard.follows and now >= self.set_up_at + ASK_AGAIN
        if guard is not None and not guard.given.changes and not old:
            return
        try:
            given = await self.read()
            if guard is None or old or given.text != guard.given.text:
                await self.set_up(given)
        except (MonitorError, StoreError) as error:
            self.counts.set_ups.labels("failed").inc()
            if guard is None:
                raise
            self.log.error("settings not taken, the old ones stay", problem=str(error))

    async def read(self) -> Given:
        here = self.environment.get("AWS_REGION") or self.environment.get("AWS_DEFAULT_REGION")
        async with Aws(self.metrics, home_region=here) as aws:
            return await settings_text(self.environment, aws)

    async def set_up(self, given: Given) -> None:
        async with AsyncExitStack() as stack:
            guard = await Guard.open(given, self.environment, self.clock, self.metrics, stack)
            kept = stack.pop_all()
        await self.close()
        self.guard, self.closing, self.set_up_at = guard, kept, self.looked_at
        self.namespace = guard.settings.function.metrics_namespace
        self.counts.set_ups.labels("done").inc()

    async def close(self) -> None:
        self.guard = None
        await self.closing.aclose()


def printed(text: str) -> None:
    """Before the call ends: then everything stands still, and so would what is in a buffer."""
    sys.stdout.write(text)
    sys.stdout.flush()
