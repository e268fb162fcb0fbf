"""Asks the escrows, in the order of the settings, and counts what they answer."""

import asyncio
from collections.abc import AsyncGenerator, Mapping

import structlog

from monitor import foreign
from monitor.errors import Denied, NotWorthRetrying, WorthRetrying
from monitor.escrow import Escrow, Secret, Wanted
from monitor.material_metrics import Answer, MaterialMetrics


async def ask(
    name: str, escrow: Escrow, wanted: Wanted
) -> Secret | WorthRetrying | NotWorthRetrying | None:
    """The answer of one escrow: material, none, or an error.

    In a task, which keeps whatever an escrow of others throws as a value. Of an error that it should
    not have thrown only the place is told: its text may hold anything, such as material.
    """
    task = asyncio.create_task(escrow.fetch(wanted), name=f"ask the escrow {name} for {wanted}")
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait([task])
        raise
    error = asyncio.CancelledError() if task.cancelled() else task.exception()
    if error is None:
        secret = task.result()
        if secret is None or isinstance(secret, Secret):
            return secret
        return NotWorthRetrying(f"escrow {name} broke: it gave no monitor.escrow.Secret")
    if isinstance(error, (WorthRetrying, NotWorthRetrying)):
        return error
    return NotWorthRetrying(f"escrow {name} broke: {foreign.place_of(error)}")


class Escrows:
    """All of them, by name. `problems` is for the caller: who could not answer, and why."""

    def __init__(self, escrows: Mapping[str, Escrow], metrics: MaterialMetrics) -> None:
        self.escrows = dict(escrows)
        self.metrics = metrics
        self.log = structlog.get_logger("escrows")

    def __len__(self) -> int:
        return len(self.escrows)

    async def having(
        self, wanted: Wanted, problems: dict[str, WorthRetrying | NotWorthRetrying]
    ) -> AsyncGenerator[tuple[str, Secret], None]:
        """Each that has material of the key, with it: the first should be right, but may not be.

        The material is overwritten as soon as the next one is asked for, and by `aclosing`.
        """
        for name, escrow in self.escrows.items():
            secret = await ask(name, escrow, wanted)
            if isinstance(secret, Secret):
                self.note(name, Answer.FOUND)
                with secret:
                    yield name, secret
            elif secret is None:
                self.note(name, Answer.MISSING)
            else:
                self.note(name, Answer.DENIED if isinstance(secret, Denied) else Answer.FAILED)
                problems[name] = secret
                self.log.error(
                    "escrow cannot answer", escrow=name, key=wanted.key.arn, problem=str(secret)
                )

    def note(self, name: str, answer: Answer) -> None:
        self.metrics.answers.labels(name, answer.value).inc()
        failing = answer in {Answer.DENIED, Answer.FAILED}
        self.metrics.failing.labels(name).set(1 if failing else 0)
