"""The daemon is killed at every await point of a repair, and started again.

SIGKILL, to a real process with a real store, between any two steps of the task that handles the
message. What it did not finish another one finishes: the key is right, no call is made more than
twice, each takes effect once, and people are told.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from moto.sqs.models import sqs_backends

from monitor.simulator.server import Simulator
from tests.journey.conftest import ACCOUNT, REGION, Person, settings_for, until

MORTAL = Path(__file__).with_name("mortal.py")
MOST = 200
"""Steps of one repair, far more than there are."""
STRIDE = int(os.environ.get("KMS_MONITOR_TEST_STRIDE", "6"))
"""1 tries every step, which takes minutes: .ci/run does."""


class Host:
    """The process that forks the daemons."""

    def __init__(self, running: asyncio.subprocess.Process, file: Path) -> None:
        self.running = running
        self.file = file

    async def write(self, text: str) -> None:
        assert self.running.stdin is not None
        self.running.stdin.write(f"{text}\n".encode())
        await self.running.stdin.drain()

    async def hear(self) -> str:
        assert self.running.stdout is not None
        async with asyncio.timeout(30):
            return (await self.running.stdout.readline()).decode().strip()

    async def start(self, step: int) -> None:
        await self.write(f"{step} {self.file}")

    async def stop(self) -> int:
        """End the daemon in good order; how many steps it took."""
        await self.write("stop")
        heard = await self.hear()
        assert heard.startswith("ended "), heard
        return int(heard.removeprefix("ended "))


@asynccontextmanager
async def host(file: Path) -> AsyncIterator[Host]:
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        str(MORTAL),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Host(running, file)
    finally:
        running.kill()
        await running.wait()


def give_back_what_the_dead_held() -> None:
    """As if the visibility timeout had passed."""
    for queue in sqs_backends[ACCOUNT][REGION].queues.values():
        queue.pending_messages.clear()
        for message in queue._messages:
            message.visible_at = 0


def calls(simulator: Simulator, arn: str) -> list[tuple[str, bool]]:
    """The daemon's writing calls on a key, and whether each succeeded, in order."""
    return [
        (record["eventName"], "errorCode" not in record)
        for record in simulator.records
        if not record["readOnly"]
        and record["userIdentity"].get("userName") == "kms-monitor"
        and any(one.get("ARN") == arn for one in record.get("resources", []))
    ]


async def told(sqs: Any, simulator: Simulator, arns: set[str]) -> None:
    """Take notifications off the topic's queue, and their keys out of `arns`."""
    answer = await sqs.receive_message(QueueUrl=simulator.topic_queue_url, MaxNumberOfMessages=10)
    for one in answer.get("Messages", []):
        found = json.loads(one["Body"])
        message = json.loads(found.get("Message", one["Body"]))
        if message["key"] and message["detector"] == "key_deletion_scheduled":
            arns.discard(message["key"]["arn"])


async def empty(sqs: Any, simulator: Simulator) -> bool:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = await sqs.get_queue_attributes(QueueUrl=simulator.queue_url, AttributeNames=names)
    return all(answer["Attributes"][name] == "0" for name in names)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("half", [0, 1], ids=["odd", "even"])
async def test_at_every_await_point(
    half: int, simulator: Simulator, people: Callable[[str], Person], sqs: Any, tmp_path: Path
) -> None:
    settings = settings_for(
        simulator,
        tmp_path,
        responders={
            "restore_key": {"doubt_seconds": 0},
            "sns": {"topic_arn": simulator.topic_arn},
        },
    )
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump(settings.model_dump(mode="json", exclude_none=True)))
    admin, mallory = people("admin"), people("mallory")
    killed = 0
    async with host(file) as mortal:
        keys = [await admin.create_key() for _ in range(MOST)]
        # It learns of the keys, and has the messages about their making behind it.
        await mortal.start(0)
        assert await mortal.hear() == "up"
        await until(lambda: empty(sqs, simulator), 60)
        assert await mortal.stop() >= 0
        for step, arn in list(enumerate(keys, 1))[half * STRIDE :: 2 * STRIDE]:
            await mallory.kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)
            await mortal.start(step)
            assert await mortal.hear() == "up"
            waiting = asyncio.create_task(mortal.hear())
            while not waiting.done():
                if await empty(sqs, simulator):
                    break
                await asyncio.wait({waiting}, timeout=0.05)
            if not waiting.done():
                # It came to the end before that step: there are no more.
                await mortal.write("stop")
                assert (await waiting).startswith("ended ")
                break
            assert waiting.result() == "killed"
            killed += 1
            await asyncio.sleep(1.1)  # until the long poll of the dead can take nothing any more
            give_back_what_the_dead_held()
            await mortal.start(0)
            assert await mortal.hear() == "up"
            await until(lambda: empty(sqs, simulator), 30)
            await mortal.stop()

            made = calls(simulator, arn)
            assert simulator.kms.state_of(arn) == "Enabled", (step, made)
            for call in ("CancelKeyDeletion", "EnableKey"):
                assert 1 <= [name for name, _ in made].count(call) <= 2, (step, made)
            assert made.count(("CancelKeyDeletion", True)) == 1, (step, made)
            left = {arn}
            async with asyncio.timeout(10):
                while left:
                    await told(sqs, simulator, left)
    assert killed * 2 * STRIDE > 40, "so few steps a repair does not have"
