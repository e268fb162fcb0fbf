"""Order does not matter: any mixture of calls and deliveries, late, doubled, ends in the right state.

One simulator serves all examples; every example has a key of its own. An example is a list of steps:
somebody makes a call, or the message about one of the calls so far is delivered (perhaps for the
second time). At the end all messages are delivered until they are settled. Time moves on by a second
with each call, for CloudTrail's times have no finer resolution. Of the daemon everything from the
body of the delivery on is real.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import structlog
from aiobotocore.session import get_session
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from monitor.aws import Aws
from monitor.books import Books
from monitor.delivery import Delivery, Disposition
from monitor.detection import Detection
from monitor.detector import Detector, NoOptions
from monitor.detectors.key_deletion_scheduled import DeletionOptions, KeyDeletionScheduled
from monitor.detectors.key_disabled import KeyDisabled
from monitor.detectors.key_restored import KeyEnabled
from monitor.duplicates import Duplicates
from monitor.key import KeyRef
from monitor.loops.sweep import Sweep
from monitor.metrics import Metrics
from monitor.pipeline import Pipeline
from monitor.plugins import Services
from monitor.policy import Mode, Rules
from monitor.responders.restore_key import RestoreKey, RestoreOptions
from monitor.response import Response
from monitor.simulator.server import Simulator
from monitor.stores.memory import MemoryStore
from tests.journey.conftest import ACCOUNT, REGION, wrap


class Clock:
    """Time that stands still until it is moved."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        return 1_800_000_000.0 + self.ahead

    def monotonic(self) -> float:
        return time.monotonic()


class World:
    """The simulator, and a daemon without its queue."""

    def __init__(self, simulator: Simulator, clock: Clock, clients: dict[str, Any]) -> None:
        self.simulator = simulator
        self.clock = clock
        self.clients = clients
        self.arn = ""

    async def begin(self, aws: Aws, initial: str) -> None:
        """A new key, and a daemon that meets it for the first time."""
        self.clock.ahead += 10
        admin = self.clients["admin"]
        self.arn = (await admin.create_key())["KeyMetadata"]["Arn"]
        if initial == "Disabled":
            await admin.disable_key(KeyId=self.arn)
        self.clock.ahead += 10
        metrics, store = Metrics(), MemoryStore(self.clock)
        # Of this key alone: the keys of all examples before are still there.
        sight = Sweep((ACCOUNT, REGION), aws, store, self.clock, metrics)
        key = KeyRef.parse(self.arn)
        assert key is not None
        await sight.note(key, asyncio.Semaphore())
        self.clock.ahead += 10
        services = Services(aws, self.clock, store, metrics, structlog.get_logger(), "test")
        restore = RestoreKey(RestoreOptions(doubt_seconds=0, settle_seconds=5), services)
        rules = Rules(
            Mode.ENFORCE,
            frozenset({(ACCOUNT, REGION)}),
            repairers=("restore_key",),
            own_arns=frozenset({f"arn:aws:iam::{ACCOUNT}:user/kms-monitor"}),
        )
        detectors: list[Detector] = [
            KeyDisabled(NoOptions()),
            KeyDeletionScheduled(DeletionOptions()),
            KeyEnabled(NoOptions()),
        ]
        self.pipeline = Pipeline(
            Detection(detectors, metrics),
            rules,
            Response({"restore_key": restore}, store, self.clock, metrics),
            Duplicates(store, self.clock, metrics),
            Books(metrics),
        )
        self.first_record = len(self.simulator.records)

    @property
    def bodies(self) -> list[str]:
        """The messages about every call since the beginning, the daemon's own included."""
        return [wrap(record) for record in self.simulator.records[self.first_record :]]

    async def call(self, what: str) -> bool:
        """One call by somebody; whether AWS allowed it."""
        self.clock.ahead += 1
        try:
            match what:
                case "disable":
                    await self.clients["mallory"].disable_key(KeyId=self.arn)
                case "schedule":
                    await self.clients["mallory"].schedule_key_deletion(KeyId=self.arn)
                case "cancel":
                    await self.clients["admin"].cancel_key_deletion(KeyId=self.arn)
                case "enable":
                    await self.clients["admin"].enable_key(KeyId=self.arn)
        except ClientError:
            return False
        return True

    async def deliver(self, body: str) -> None:
        delivery = Delivery("1", body, "queue", received_at=self.clock.now())
        for _ in range(5):
            if await self.pipeline.process(delivery) is Disposition.DONE:
                return
        pytest.fail("never settled")


@asynccontextmanager
async def world() -> AsyncIterator[tuple[World, Aws]]:
    clock = Clock()
    async with AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(Simulator(seed=1, now=clock.now))
        clients = {
            name: await stack.enter_async_context(
                get_session().create_client(
                    "kms",
                    region_name=REGION,
                    endpoint_url=simulator.endpoint_url,
                    aws_access_key_id=name,
                    aws_secret_access_key="any",
                )
            )
            for name in ("admin", "mallory")
        }
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ACCESS_KEY_ID", "kms-monitor")
            patch.setenv("AWS_SECRET_ACCESS_KEY", "any")
            async with Aws(Metrics(), endpoint_url=simulator.endpoint_url) as aws:
                yield World(simulator, clock, clients), aws


CALLS = st.sampled_from(["disable", "schedule", "cancel", "enable"])
STEPS = st.lists(st.one_of(CALLS, st.integers(0, 30)), min_size=1, max_size=10)


@pytest.fixture(scope="module")
def runner() -> Any:
    """One event loop and one simulator for all examples."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        yield runner, runner.run(stack.enter_async_context(world()))
        runner.run(stack.aclose())


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    initial=st.sampled_from(["Enabled", "Disabled"]),
    steps=STEPS,
    order=st.randoms(use_true_random=False),
)
@example(initial="Disabled", steps=["enable", "schedule", 1], order=random.Random(0))
@example(initial="Disabled", steps=["enable", "disable", 1], order=random.Random(0))
@example(initial="Disabled", steps=["disable", "enable", "schedule", 2], order=random.Random(0))
@example(initial="Enabled", steps=["schedule", "cancel", "disable", 2], order=random.Random(0))
def test_any_order_ends_in_the_right_state(
    runner: Any, initial: str, steps: list[str | int], order: Any
) -> None:
    loop, (somewhere, aws) = runner

    async def example() -> None:
        right = initial
        await somewhere.begin(aws, initial)
        for step in steps:
            if isinstance(step, int):
                if bodies := somewhere.bodies:
                    await somewhere.deliver(bodies[step % len(bodies)])
            elif await somewhere.call(step) and step == "enable":
                right = "Enabled"
        left = somewhere.bodies * 2
        order.shuffle(left)
        for body in left:
            await somewhere.deliver(body)
        # What the daemon itself has called since comes back to it as well.
        for body in somewhere.bodies:
            await somewhere.deliver(body)
        assert somewhere.simulator.kms.state_of(somewhere.arn) == right

    loop.run(example())
