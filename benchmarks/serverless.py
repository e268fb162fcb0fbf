"""The function as Lambda runs it: from the zip, with the Python that it was made for, in a process of its own.

Cold: until the first key is enabled again, from nothing; beside importing aiobotocore alone, by the same Python.
Warm: one call after another, beside the daemon's journey for the same attack against the same simulator.
The processor is this machine's: Lambda's share of one grows with the memory that a function is given.
"""

import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import yaml
from aiobotocore.session import get_session
from rich.console import Console
from rich.table import Table

from benchmarks.respond import attack
from deploy.serverless.__main__ import PYTHON, make, seconds
from deploy.serverless.local import Container
from deploy.serverless.packing import ARCHITECTURES, ROOT, CannotPack, interpreter
from monitor import logs
from monitor.app import App
from monitor.simulator.functions import Context
from tests.tables import make_table

REGION, ACCOUNT = "eu-west-1", "111122223333"
STARTS, CALLS, ATTACKS = 5, 20, 30
HANDLER = "monitor.serverless.handle"
ARN = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:kms-monitor"
ATTACKER = {"aws_access_key_id": "mallory", "aws_secret_access_key": "x"}
IN_MEMORY = {"store": {"kind": "memory"}, "function": {"may_forget": True}}
IN_TABLE = {"store": {"kind": "dynamodb", "table": "kms-monitor"}}


async def main() -> int:
    logs.set_up("error")
    wheel = platform.machine()
    here = next((one for one, name in ARCHITECTURES.items() if name == wheel), None)
    if here is None:
        print(f"AWS Lambda has no {wheel}")
        return 0
    version = PYTHON
    try:
        python = interpreter(version)
    except CannotPack:
        version, python = f"3.{sys.version_info.minor}", Path(sys.executable)
    command = Path(sys.executable).with_name("kms-monitor")
    simulator = await asyncio.create_subprocess_exec(
        command, "simulate", "--port", "0", "--json", stdout=asyncio.subprocess.PIPE
    )
    assert simulator.stdout is not None
    there_is = json.loads(await simulator.stdout.readline())
    os.environ |= {
        "AWS_ENDPOINT_URL": there_is["endpoint_url"],
        "AWS_ACCESS_KEY_ID": "kms-monitor",
        "AWS_SECRET_ACCESS_KEY": "any",
    }
    try:
        with tempfile.TemporaryDirectory() as folder:
            made = make(Path(folder), ROOT / "dist" / "wheels", python, version, here)
            tree = Path(folder) / "tree"
            with zipfile.ZipFile(made) as archive:
                archive.extractall(tree)
            await measure(there_is, tree, python, Path(folder))
    except CannotPack as error:
        print(f"the zip cannot be made here: {error}", file=sys.stderr)
        return 1
    finally:
        simulator.terminate()
        await simulator.wait()
    return 0


async def measure(there_is: dict[str, Any], tree: Path, python: Path, folder: Path) -> None:
    async with AsyncExitStack() as opened:
        attacker = Attacker(there_is)
        await attacker.open(opened)
        modules = ("aiobotocore.session", "monitor.serverless.entry")
        base, imported = seconds(modules, tree, python)
        cold = [await first_decision(attacker, tree, python) for _ in range(STARTS)]
        warm = {
            name: await warm_decision(attacker, tree, python, store)
            for name, store in (("memory", IN_MEMORY), ("DynamoDB", IN_TABLE))
        }
    journey = await daemons_journey(there_is, folder)
    table = Table("what", "ms", "ratio", title="The function, one key disabled each time")
    table.add_row("aiobotocore imported, nothing else", f"{base * 1e3:.0f}", "1")
    first = statistics.median(cold)
    for name, value in (("all of the function imported", imported), ("first key back", first)):
        table.add_row(f"cold: {name}", f"{value * 1e3:.0f}", f"{value / base:.2f}")
    table.add_section()
    table.add_row("the daemon's journey: received -> Enabled", f"{journey * 1e3:.1f}", "1")
    for name, value in warm.items():
        ratio = f"{value / journey:.2f}"
        table.add_row(f"warm: a call, state in {name}", f"{value * 1e3:.1f}", ratio)
    Console().print(table)


def environment(store: Mapping[str, Any]) -> dict[str, str]:
    settings = {
        "mode": "enforce",
        "accounts": [{"id": ACCOUNT, "regions": [REGION]}],
        "responders": {"restore_key": {}},
        "watched": {"discover": False},
        **store,
    }
    own = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    return own | {"AWS_REGION": REGION, "KMS_MONITOR_SETTINGS": yaml.safe_dump(settings)}


class Attacker:
    """Disables keys, and hears of it from EventBridge."""

    def __init__(self, there_is: dict[str, Any]) -> None:
        self.queue_url = there_is["queue_url"]
        self.kms: Any = None
        self.sqs: Any = None

    async def open(self, opened: AsyncExitStack) -> None:
        session: Any = get_session()
        clients = [
            session.create_client("kms", region_name=REGION, **ATTACKER),
            session.create_client("sqs", region_name=REGION),
            session.create_client("dynamodb", region_name=REGION),
        ]
        self.kms, self.sqs, dynamodb = [await opened.enter_async_context(one) for one in clients]
        await make_table(dynamodb)

    async def disable(self) -> tuple[str, Any]:
        """A new key that was disabled, and what EventBridge says of that."""
        key = (await self.kms.create_key())["KeyMetadata"]["KeyId"]
        await self.kms.disable_key(KeyId=key)
        while True:
            answer = await self.sqs.receive_message(
                QueueUrl=self.queue_url, WaitTimeSeconds=5, MaxNumberOfMessages=10
            )
            for one in answer["Messages"]:
                await self.sqs.delete_message(
                    QueueUrl=self.queue_url, ReceiptHandle=one["ReceiptHandle"]
                )
                event = json.loads(one["Body"])
                named = (event["detail"].get("requestParameters") or {}).get("keyId")
                if event["detail"].get("eventName") == "DisableKey" and named == key:
                    return key, event

    async def state(self, key: str) -> str:
        return str((await self.kms.describe_key(KeyId=key))["KeyMetadata"]["KeyState"])


async def call(container: Container, attacker: Attacker) -> float:
    """Seconds of one call, after which the key is enabled again."""
    key, event = await attacker.disable()
    said = await asyncio.to_thread(container.call, event, Context(ARN, 60))
    assert not said.error, said.error
    assert await attacker.state(key) == "Enabled"
    return said.seconds


def container(tree: Path, python: Path, store: Mapping[str, Any]) -> Container:
    return Container(tree, python, HANDLER, environment(store), log=subprocess.DEVNULL)


async def first_decision(attacker: Attacker, tree: Path, python: Path) -> float:
    """Seconds of import and first call together, in a new process; state in DynamoDB."""
    with container(tree, python, IN_TABLE) as one:
        return one.started.seconds + await call(one, attacker)


async def warm_decision(
    attacker: Attacker, tree: Path, python: Path, store: Mapping[str, Any]
) -> float:
    """The median of calls after the first."""
    with container(tree, python, store) as one:
        await call(one, attacker)
        return statistics.median([await call(one, attacker) for _ in range(CALLS)])


async def daemons_journey(there_is: dict[str, Any], folder: Path) -> float:
    """Seconds from the message to the read-back, the mean of all attacks."""
    app = await attack(there_is, folder, attacks=ATTACKS)
    return sum(mean(app, one) for one in ("detect_to_act", "act_to_verified"))


def mean(app: App, name: str) -> float:
    found = {
        sample.name.removeprefix(f"kms_monitor_{name}_seconds_"): sample.value
        for metric in app.metrics.registry.collect()
        for sample in metric.samples
        if sample.name.startswith(f"kms_monitor_{name}_seconds_")
    }
    return found["sum"] / found["count"]


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
