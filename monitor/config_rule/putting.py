"""The verdicts, handed to AWS Config: PutEvaluations (aws-facts 4.6; AWS Config API reference)."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from monitor.aws import Aws
from monitor.config_metrics import ConfigMetrics
from monitor.config_rule.invocation import Invocation
from monitor.config_rule.judging import Verdict
from monitor.errors import Denied, NotWorthRetrying, WorthRetrying
from monitor.repair.live import patiently

MOST: Final = 100
"""Verdicts in one call."""
TRIES: Final = 3
"""For verdicts that Config took note of and did not keep."""
PAUSE: Final = 0.5
"""Seconds before the second try; twice as long before the third."""
EXPIRED: Final = "InvalidResultTokenException"


class Putting:
    """Hands over what one invocation found. Raises what `monitor.errors` names; counts what failed."""

    def __init__(self, aws: Aws, metrics: ConfigMetrics) -> None:
        self.aws = aws
        self.metrics = metrics
        self.log = structlog.get_logger("config_rule")

    async def put(self, asked: Invocation, verdicts: Sequence[Verdict]) -> None:
        """All of them. One that AWS Config does not take in the end raises `WorthRetrying`."""
        refused: list[Any] = []
        for start in range(0, len(verdicts), MOST):
            some = verdicts[start : start + MOST]
            refused += await self.put_batch(asked, [evaluation(one) for one in some])
            for one in some:
                self.metrics.evaluations.labels(one.compliance.value).inc()
        if refused:
            self.metrics.failed.labels("refused").inc(len(refused))
            names = ", ".join(str(one.get("ComplianceResourceId", "")) for one in refused[:5])
            raise WorthRetrying(
                f"config:PutEvaluations: {len(refused)} verdicts were not taken, such as {names}"
            )

    async def put_batch(self, asked: Invocation, left: list[Any]) -> list[Any]:
        """Those that were not taken in the end."""
        pause = PAUSE
        for number in range(TRIES):
            if number:
                await asyncio.sleep(pause)
                pause *= 2
            left = await self.call(asked, left)
            if not left:
                return []
            self.log.warning("verdicts were not taken", count=len(left))
        return left

    async def call(self, asked: Invocation, evaluations: list[Any]) -> list[Any]:
        try:
            async for attempt in patiently():
                with attempt:
                    client = await self.aws.client("config", asked.region, asked.account)
                    async with self.aws.calling("config", "PutEvaluations"):
                        answer = await client.put_evaluations(
                            Evaluations=evaluations,
                            ResultToken=asked.token,
                            **({"TestMode": True} if asked.test else {}),
                        )
                    return list(answer.get("FailedEvaluations") or ())
        except NotWorthRetrying as error:
            token = error.code == EXPIRED
            reason = "denied" if isinstance(error, Denied) else "refused"
            self.metrics.failed.labels("token" if token else reason).inc(len(evaluations))
            if token:
                text = (
                    "the result token has expired, or is not this rule's: no verdict was given, and "
                    "AWS Config keeps the one that it has"
                )
                raise NotWorthRetrying(f"{text} ({error})", code=error.code) from error
            raise
        except WorthRetrying:
            self.metrics.failed.labels("passing").inc(len(evaluations))
            raise
        raise AssertionError("unreachable: the last attempt raises")


def evaluation(verdict: Verdict) -> dict[str, Any]:
    """A verdict as the call has it."""
    return {
        "ComplianceResourceType": verdict.resource_type,
        "ComplianceResourceId": verdict.resource_id,
        "ComplianceType": verdict.compliance.value,
        "Annotation": verdict.annotation,
        "OrderingTimestamp": datetime.fromtimestamp(verdict.at, UTC),
    }
