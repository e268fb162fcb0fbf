"""Message received -> EnableKey sent, and the key's unsafe time, against a simulator of its own
process. The figures are the daemon's own histograms, as Prometheus would scrape them."""

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from aiobotocore.session import get_session
from rich.console import Console
from rich.table import Table

from monitor import logs
from monitor.app import App
from monitor.assembly import load
from monitor.settings import Settings

ATTACKS = 200
HISTOGRAMS = {
    "kms_monitor_detect_to_act_seconds": "received -> EnableKey sent",
    "kms_monitor_act_to_verified_seconds": "sent -> read back Enabled",
}


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
    try:
        with tempfile.TemporaryDirectory() as folder:
            report(await attack(there_is, Path(folder)))
    finally:
        simulator.terminate()
        await simulator.wait()


async def attack(there_is: dict[str, Any], folder: Path, attacks: int = ATTACKS) -> App:
    """The daemon after that many keys were disabled and came back."""
    settings = Settings.model_validate(
        {
            "mode": "enforce",
            "accounts": [{"id": "111122223333", "regions": ["eu-west-1"]}],
            "queues": [{"url": there_is["queue_url"], "region": "eu-west-1", "wait_seconds": 1}],
            "store": {"path": str(folder / "state.db")},
            "web": {"port": 0},
        }
    )
    app = App(settings, load(settings, Path("settings")))
    up = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(app.run(up.set), name="the daemon")
        await up.wait()
        async with get_session().create_client(
            "kms", region_name="eu-west-1", aws_access_key_id="mallory", aws_secret_access_key="x"
        ) as kms:
            for number in range(1, attacks + 1):
                key = (await kms.create_key())["KeyMetadata"]["KeyId"]
                await kms.disable_key(KeyId=key)
                # One at a time: how long one takes, not how many a small machine can do at once.
                while samples(app, "kms_monitor_act_to_verified_seconds")[-1][1] < number:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
        app.stop()
    return app


def samples(app: App, name: str) -> list[tuple[str, float]]:
    """A histogram's buckets: upper bound and count of all below it."""
    return [
        (sample.labels["le"], sample.value)
        for metric in app.metrics.registry.collect()
        for sample in metric.samples
        if sample.name == f"{name}_bucket"
    ]


def report(app: App) -> None:
    table = Table(
        "up to (s)",
        *HISTOGRAMS.values(),
        title=f"{ATTACKS} keys disabled, each once the one before was restored",
    )
    columns = [samples(app, name) for name in HISTOGRAMS]
    before = [0.0] * len(columns)
    for rows in zip(*columns, strict=True):
        counts = [value - was for (_, value), was in zip(rows, before, strict=True)]
        before = [value for _, value in rows]
        if any(counts):
            bars = [f"{'#' * round(count / ATTACKS * 40)} {count:.0f}" for count in counts]
            table.add_row(rows[0][0], *bars)
    Console().print(table)


if __name__ == "__main__":
    asyncio.run(main())
