"""Asks the escrows, in the order of the settings, and counts what they answer."""

from collections.abc import AsyncGenerator, Mapping

import structlog

from monitor.errors import Denied, NotWorthRetrying, WorthRetrying
from monitor.escrow import Escrow, Secret, Wanted
from monitor.material_metrics import Asked, MaterialMetrics


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
            try:
                secret = await escrow.fetch(wanted)
            except (WorthRetrying, NotWorthRetrying) as error:
                answer = Asked.DENIED if isinstance(error, Denied) else Asked.FAILED
                problems[name] = error
                self.log.error(
                    "escrow cannot answer", escrow=name, key=wanted.key.arn, problem=str(error)
                )
            else:
                answer = Asked.MISSING if secret is None else Asked.FOUND
                if secret is not None:
                    self.note(name, answer)
                    with secret:
                        yield name, secret
                    continue
            self.note(name, answer)

    def note(self, name: str, answer: Asked) -> None:
        self.metrics.asked.labels(name, answer.value).inc()
        failing = answer in {Asked.DENIED, Asked.FAILED}
        self.metrics.failing.labels(name).set(1 if failing else 0)
