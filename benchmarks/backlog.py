"""What a backlog of log files costs the urgent events, and an attack in the middle of one.

A simulator of its own process; the daemon's own measurements. First keys are disabled with nothing
else to do, then while log files of 15 MB are read one after another; then one attack stands in the
middle of a queue full of messages about log files.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from aiobotocore.session import get_session
from rich.console import Console
from rich.table import Table

from benchmarks.backfill import log_file
from monitor import logs
from monitor.app import App
from monitor.assembly import load
from monitor.settings import Settings

ACCOUNT, REGION, BUCKET = "111122223333", "eu-west-1", "trail"
KEY = f"AWSLogs/{ACCOUNT}/CloudTrail/{REGION}/2026/11/20/{ACCOUNT}_CloudTrail_{REGION}_1.json.gz"
ATTACKS = 100
MESSAGES = 10_000


class Bench:
    def __init__(self, there_is: dict[str, Any], folder: Path, clients: dict[str, Any]) -> None:
        self.queue_url = there_is["queue_url"]
        self.folder = folder
        self.kms, self.sqs, self.s3 = clients["kms"], clients["sqs"], clients["s3"]
        self.acted: list[float] = []

    def app(self) -> App:
        settings = Settings.model_validate(
            {
                "mode": "enforce",
                "accounts": [{"id": ACCOUNT, "regions": [REGION]}],
                "queues": [{"url": self.queue_url, "region": REGION, "wait_seconds": 1}],
                "store": {"path": str(self.folder / "state.db")},
                "web": {"port": 0},
                "grace_seconds": 30,
            }
        )
        app = App(settings, load(settings, Path("settings")))
        observe = app.metrics.detect_to_act.observe

        def note(amount: float, exemplar: dict[str, str] | None = None) -> None:
            self.acted.append(amount)
            observe(amount, exemplar)

        app.metrics.detect_to_act.observe = note  # type: ignore[method-assign]
        return app

    async def attack(self, count: int) -> list[float]:
        """Disable keys, each once the one before was restored; received -> EnableKey sent."""
        before = len(self.acted)
        for number in range(1, count + 1):
            key = (await self.kms.create_key())["KeyMetadata"]["KeyId"]
            await self.kms.disable_key(KeyId=key)
            while len(self.acted) < before + number:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        return sorted(self.acted[before:])

    async def announce(self, count: int) -> None:
        body = json.dumps({"s3Bucket": BUCKET, "s3ObjectKey": [KEY]})
        entries = [{"Id": str(n), "MessageBody": body} for n in range(10)]
        for start in range(0, count, 10):
            some = entries[: min(10, count - start)]
            await self.sqs.send_message_batch(QueueUrl=self.queue_url, Entries=some)


async def main() -> None:
    logs.set_up("error")
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
    who: dict[str, Any] = {"region_name": REGION, "aws_access_key_id": "mallory"}
    who["aws_secret_access_key"] = "any"
    session = get_session()
    try:
        async with (
            session.create_client("kms", **who) as kms,
            session.create_client("sqs", **who) as sqs,
            session.create_client("s3", **who) as s3,
        ):
            with tempfile.TemporaryDirectory() as folder:
                clients = {"kms": kms, "sqs": sqs, "s3": s3}
                await measure(Bench(there_is, Path(folder), clients))
    finally:
        simulator.terminate()
        await simulator.wait()


async def measure(bench: Bench) -> None:
    place = {"LocationConstraint": REGION}
    await bench.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=place)
    await bench.s3.put_object(Bucket=BUCKET, Key=KEY, Body=log_file(1))
    app, up = bench.app(), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(app.run(up.set), name="the daemon")
        await up.wait()
        await bench.attack(10)  # to warm up
        alone = await bench.attack(ATTACKS)
        await bench.announce(500)
        while not app.sources[0].hidden.bulk:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        amid = await bench.attack(ATTACKS)
        left = app.sources[0].hidden.bulk
        app.stop()
    await bench.sqs.purge_queue(QueueUrl=bench.queue_url)
    table = Table("received -> EnableKey sent", "median", "p99", title=f"{ATTACKS} attacks each")
    for name, took in (("nothing else to do", alone), ("while log files are read", amid)):
        table.add_row(name, *(f"{took[int(len(took) * at)] * 1e3:.1f} ms" for at in (0.5, 0.99)))
    ratio = amid[int(len(amid) * 0.99)] / alone[int(len(alone) * 0.99)]
    table.caption = f"p99 {ratio:.1f} times as long; {left} files still to be read at the end"
    Console().print(table)
    await in_the_middle(bench)


async def in_the_middle(bench: Bench) -> None:
    key = (await bench.kms.create_key())["KeyMetadata"]["KeyId"]
    app, up = bench.app(), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(app.run(up.set), name="the daemon that meets the key")
        await up.wait()
        app.stop()
    await bench.announce(MESSAGES // 2)
    await bench.kms.disable_key(KeyId=key)
    await bench.announce(MESSAGES // 2)
    app, up, before = bench.app(), asyncio.Event(), len(bench.acted)
    async with asyncio.TaskGroup() as tasks:
        began = time.monotonic()
        tasks.create_task(app.run(up.set), name="the daemon")
        while len(bench.acted) == before:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        after = time.monotonic() - began
        ahead = app.sources[0].hidden.bulk
        app.stop()
    Console().print(
        f"An attack in the middle of {MESSAGES} messages about log files: EnableKey was sent "
        f"{bench.acted[-1] * 1e3:.0f} ms after its message was received, which was {after:.1f} s "
        f"after the start, with {ahead} log files still waiting."
    )


if __name__ == "__main__":
    asyncio.run(main())
