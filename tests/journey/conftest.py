"""The real daemon against the simulator, in one event loop: nothing is replaced but AWS."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiobotocore.session import get_session

from monitor.app import App
from monitor.assembly import load
from monitor.settings import Settings
from monitor.simulator.server import Simulator

ACCOUNT, REGION = "111122223333", "eu-west-1"


class Person:
    """Somebody who calls KMS, named by the access key id."""

    def __init__(self, client: Any) -> None:
        self.kms = client

    async def create_key(self, **parameters: Any) -> str:
        return str((await self.kms.create_key(**parameters))["KeyMetadata"]["Arn"])

    async def state(self, arn: str) -> str:
        return str((await self.kms.describe_key(KeyId=arn))["KeyMetadata"]["KeyState"])


@pytest.fixture
async def simulator(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Simulator]:
    async with Simulator(seed=1) as simulator:
        lead_to(simulator, monkeypatch)
        yield simulator


def lead_to(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on whoever asks AWS asks this one, as the daemon's user."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", simulator.endpoint_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "kms-monitor")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)


@pytest.fixture
async def people(simulator: Simulator) -> AsyncIterator[Callable[[str], Person]]:
    session = get_session()
    clients: dict[str, Any] = {}
    contexts = []
    for name in ("admin", "mallory"):
        context = session.create_client(
            "kms",
            region_name=REGION,
            endpoint_url=simulator.endpoint_url,
            aws_access_key_id=name,
            aws_secret_access_key="any",
        )
        contexts.append(context)
        clients[name] = Person(await context.__aenter__())
    yield clients.__getitem__
    for context in contexts:
        await context.__aexit__(None, None, None)


def wrap(record: dict[str, Any]) -> str:
    """A CloudTrail record as EventBridge puts it into the queue (aws-facts 4.1)."""
    return json.dumps(
        {
            "version": "0",
            "id": record["eventID"],
            "detail-type": "AWS API Call via CloudTrail",
            "source": "aws.kms",
            "account": record["recipientAccountId"],
            "time": record["eventTime"],
            "region": record["awsRegion"],
            "resources": [],
            "detail": record,
        }
    )


def settings_for(simulator: Simulator, tmp_path: Path, **changes: Any) -> Settings:
    document: dict[str, Any] = {
        "mode": "enforce",
        "accounts": [{"id": ACCOUNT, "regions": [REGION]}],
        "queues": [{"url": simulator.queue_url, "region": REGION, "wait_seconds": 1}],
        "responders": {"restore_key": {"doubt_seconds": 1}},
        "store": {"path": str(tmp_path / "state.db")},
        "web": {"port": 0},
        # A journey of its own (test_inventory): its calls would only shift the times of all others.
        "watched": {"discover": False},
    }
    return Settings.model_validate(document | changes)


@asynccontextmanager
async def daemon(settings: Settings) -> AsyncIterator[App]:
    """A running daemon, stopped in good order at the end."""
    app = App(settings, load(settings, Path("settings.yaml")))
    up = asyncio.Event()
    running = asyncio.create_task(app.run(up.set), name="the daemon under test")
    waiting = asyncio.create_task(up.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED, timeout=20)
    waiting.cancel()
    if running.done():
        running.result()  # it did not come up: raise why
    try:
        yield app
    finally:
        app.stop()
        await asyncio.wait_for(running, 30)


@asynccontextmanager
async def process(
    simulator: Simulator, tmp_path: Path, **changes: Any
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`kms-monitor run`, once it receives; killed at the end if it still lives."""
    settings = settings_for(simulator, tmp_path, **changes)
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump(settings.model_dump(mode="json", exclude_none=True)))
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "monitor",
        "run",
        "--config",
        str(file),
        stderr=asyncio.subprocess.PIPE,
    )
    assert running.stderr is not None
    async with asyncio.timeout(20):
        while b'"receiving"' not in await running.stderr.readline():
            pass
    drain = asyncio.create_task(running.stderr.read())
    try:
        yield running
    finally:
        if running.returncode is None:
            running.kill()
        await running.wait()
        await drain


async def until(holds: Callable[[], Any], seconds: float = 10) -> None:
    """Wait until `holds()`, which may be a coroutine function; fail after so many seconds."""
    async with asyncio.timeout(seconds):
        while True:
            result = holds()
            if asyncio.iscoroutine(result):
                result = await result
            if result:
                return
            await asyncio.sleep(0.02)


@pytest.fixture
async def sqs(simulator: Simulator) -> AsyncIterator[Any]:
    """SQS of the simulator, as an administrator sees it."""
    async with get_session().create_client(
        "sqs",
        region_name=REGION,
        endpoint_url=simulator.endpoint_url,
        aws_access_key_id="admin",
        aws_secret_access_key="any",
    ) as client:
        yield client
