"""A daemon in the dark of night: attacks are played at the simulator, and the findings awaited.

The simulator's own rule is replaced by those that `kms-monitor generate event-pattern` prints, so that
a finding proves the pattern, the simulator's record and the detector together.
"""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import ClientError
from structlog.testing import capture_logs

from monitor.app import App
from monitor.key import KeyRef
from monitor.knowledge import Knowledge
from monitor.pattern_command import wanted_by
from monitor.pipeline import Pipeline
from monitor.sight.pattern_writer import RulePattern, rule_patterns
from monitor.simulator.events import EVERY_MANAGEMENT_EVENT
from monitor.simulator.server import Simulator
from tests.journey.conftest import ACCOUNT, REGION, daemon, settings_for, until

OUTSIDER = "arn:aws:iam::999988887777:root"
DAEMON = f"arn:aws:iam::{ACCOUNT}:user/kms-monitor"
SESSION: Any = get_session()
"""One for all: it keeps the models of the services, which are large."""

Told = Counter[tuple[str, str]]
"""How often each detector told of each severity."""
Play = Callable[["Scene"], Awaitable[Any]]


class Scene:
    """The attacked, and who attacks: `mallory.kms`, `admin.sqs` and so on are AWS clients."""

    def __init__(self, simulator: Simulator, lines: list[Any]) -> None:
        self.simulator = simulator
        self.lines = lines
        self.admin: Any = None
        self.mallory: Any = None
        self.keys: list[str] = []
        self.app: App

    @property
    def knowledge(self) -> Knowledge:
        journey = self.app.consumers[0].journey
        assert isinstance(journey, Pipeline)
        return journey.detection.knowledge

    def key(self) -> str:
        """The next key that nobody touched yet."""
        return self.keys.pop(0)

    def told(self) -> Told:
        found: Told = Counter()
        for family in self.app.metrics.registry.collect():
            for one in family.samples:
                if one.name == "kms_monitor_findings_total" and one.value:
                    found[one.labels["detector"], one.labels["severity"]] = int(one.value)
        return found

    async def attack(self, call: Awaitable[Any], **expected: str) -> None:
        """Each detector must tell of the call, with that severity, and a log line as well."""
        before, first, since = self.told(), len(self.simulator.records), len(self.lines)
        wanted = Counter(expected.items())
        await call

        def seen() -> bool:
            records = {one["eventID"] for one in self.simulator.records[first:]}
            logged = {
                line["severity"]
                for line in self.lines[since:]
                if line["event"] == "finding" and line["event_id"] in records
            }
            return wanted <= self.told() - before and set(expected.values()) <= logged

        try:
            await until(seen, 8)
        except TimeoutError:
            calls = [
                {name: one.get(name) for name in ("eventName", "errorCode", "requestParameters")}
                for one in self.simulator.records[first:]
                if not one["readOnly"] or one.get("errorCode")
            ]
            raise AssertionError(
                f"{expected} expected, told: {dict(self.told() - before)}; {calls}"
            ) from None


@cache
def generated() -> list[RulePattern]:
    return rule_patterns(wanted_by(None))


def rule_name(which: str) -> str:
    """The rule that lets a call through, such as `events.amazonaws.com DisableRule`."""
    service, call = which.split()
    pattern = re.compile(rf'"{re.escape(service)}"\],"eventName":\[[^\]]*"{call}"')
    number = next(n for n, one in enumerate(generated(), 1) if pattern.search(one.text))
    return f"kms-monitor-{number}"


async def put_rules(scene: Scene, region: str) -> None:
    """The generated patterns instead of the simulator's rule."""
    queue = f"arn:aws:sqs:{REGION}:{ACCOUNT}:kms-monitor"
    async with client(scene.simulator, "events", "admin", region) as events:
        await events.remove_targets(Rule="kms-monitor", Ids=["kms-monitor"])
        await events.delete_rule(Name="kms-monitor")
        for number, one in enumerate(generated(), 1):
            state = EVERY_MANAGEMENT_EVENT if one.reads else "ENABLED"
            name = f"kms-monitor-{number}"
            await events.put_rule(Name=name, EventPattern=one.text, State=state)
            await events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": queue}])


def client(simulator: Simulator, service: str, who: str, region: str = REGION) -> Any:
    return SESSION.create_client(
        service,
        region_name=region,
        endpoint_url=simulator.endpoint_url,
        aws_access_key_id=who,
        aws_secret_access_key="any",
        config=AioConfig(retries={"total_max_attempts": 1}),
    )


class Person:
    """Whose clients are attributes by their services."""


async def denied(call: Awaitable[Any]) -> None:
    """What AWS refuses is an attack all the same."""
    with pytest.raises(ClientError):
        await call


async def made_key(kms: Any, number: int) -> str:
    tags = [{"TagKey": "protected", "TagValue": "yes"}]
    arn = (await kms.create_key(Description="payments", Tags=tags))["KeyMetadata"]["Arn"]
    await kms.create_alias(AliasName=f"alias/payments-{number}", TargetKeyId=arn)
    await kms.enable_key_rotation(KeyId=arn)
    return str(arn)


@asynccontextmanager
async def night(
    simulator: Simulator,
    tmp_path: Path,
    *services: str,
    keys: int = 0,
    prepare: Play | None = None,
    **settings: Any,
) -> AsyncIterator[Scene]:
    """The daemon, once it knows every key and all that its sight rests on. It only observes.

    `services`: those of which the people have clients.
    """
    async with AsyncExitStack() as stack:
        scene = Scene(simulator, stack.enter_context(capture_logs()))
        for who in ("admin", "mallory"):
            setattr(scene, who, person := Person())
            for service in services:
                made = client(simulator, service, who)
                setattr(person, service, await stack.enter_async_context(made))
        for region in (REGION, "us-east-1"):
            await put_rules(scene, region)
        scene.keys = [await made_key(scene.admin.kms, number) for number in range(keys)]
        if prepare is not None:
            await prepare(scene)
        changes: dict[str, Any] = {
            "mode": "observe",
            "sweep": {"calls_per_second": 100},
            "watched": {},
            "responders": {"sns": {"topic_arn": simulator.topic_arn}},
        }
        scene.app = await stack.enter_async_context(
            daemon(settings_for(simulator, tmp_path, **changes | settings))
        )
        refs = [KeyRef.parse(arn) for arn in scene.keys]

        def knows() -> bool:
            known = [scene.knowledge.key(ref) for ref in refs]
            watched = scene.knowledge.watched
            return bool(watched.rules and watched.trails) and all(
                one is not None and one.grants is not None for one in known
            )

        await until(knows, 20)
        await asyncio.sleep(0.2)
        yield scene
