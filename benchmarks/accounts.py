"""What hundreds of pairs of account and Region cost: memory of the whole daemon, and seconds until it has seen them
all, each against one pair. Each daemon has a process of its own, and so has the simulator."""

import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from monitor import logs
from monitor.app import App
from monitor.assembly import load
from monitor.settings import Settings

REGIONS = ("eu-west-1", "eu-central-1", "us-east-1", "ap-south-1")
ACCOUNTS = tuple(f"{number:012d}" for number in range(200000000000, 200000000100))
PAIRS = (1, 100, 200, 400)


async def main() -> None:
    program = str(Path(sys.executable).with_name("kms-monitor"))
    command = [program, "simulate", "--port", "0", "--json"]
    for account in ACCOUNTS:
        command += ["--account", account]
    for region in REGIONS:
        command += ["--region", region]
    simulator = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert simulator.stdout is not None
    simulator.stdout._limit = 2**20  # type: ignore[attr-defined]  # noqa: SLF001 - one long line
    there_is = json.loads(await simulator.stdout.readline())
    environment = os.environ | {
        "AWS_ENDPOINT_URL": there_is["endpoint_url"],
        "AWS_ACCESS_KEY_ID": "kms-monitor",
        "AWS_SECRET_ACCESS_KEY": "any",
    }
    found: dict[int, dict[str, float]] = {}
    try:
        for pairs in PAIRS:
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "benchmarks.accounts", str(pairs), there_is["queue_url"],
                env=environment, stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            out, _ = await child.communicate()
            found[pairs] = json.loads(out)
    finally:
        simulator.terminate()
        await simulator.wait()
    report(found)


async def one(pairs: int, queue_url: str) -> dict[str, float]:
    """A daemon for so many pairs: its memory, and how long it took to see them."""
    logs.set_up("error")
    accounts: list[dict[str, Any]] = []
    for number in range(pairs):
        account, region = ACCOUNTS[number // len(REGIONS)], REGIONS[number % len(REGIONS)]
        if region == REGIONS[0]:
            role = {} if number == 0 else {"role_arn": f"arn:aws:iam::{account}:role/guard"}
            accounts.append({"id": account, "regions": [], **role})
        accounts[-1]["regions"].append(region)
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.model_validate(
            {
                "mode": "enforce",
                "accounts": accounts,
                "queues": [{"url": queue_url, "region": REGIONS[0], "wait_seconds": 1}],
                "store": {"path": str(Path(folder) / "state.db")},
                "web": {"port": 0},
            }
        )
        app = App(settings, load(settings, Path("settings")))
        up = asyncio.Event()
        began = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(app.run(up.set), name="the daemon")
            await up.wait()
            seconds = time.monotonic() - began
            while app.readiness():  # noqa: ASYNC110
                await asyncio.sleep(0.1)  # the inventory and all names, too
            await asyncio.sleep(2)
            memory = rss()
            app.stop()
    return {"mb": memory, "seconds": seconds}


def rss() -> float:
    """Megabytes of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def report(found: dict[int, dict[str, float]]) -> None:
    table = Table(
        "pairs", "memory (MB)", "to one pair", "MB for 100 more", "up after (s)", "to one pair",
        title="Pairs of account and Region in one daemon",
    )  # fmt: skip
    alone = found[1]
    for pairs, one_of in found.items():
        more = (one_of["mb"] - alone["mb"]) / (pairs - 1) * 100 if pairs > 1 else 0.0
        table.add_row(
            str(pairs),
            f"{one_of['mb']:.0f}",
            f"{one_of['mb'] / alone['mb']:.2f}",
            f"{more:.1f}" if more else "",
            f"{one_of['seconds']:.2f}",
            f"{one_of['seconds'] / alone['seconds']:.1f}",
        )
    Console().print(table)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(asyncio.run(one(int(sys.argv[1]), sys.argv[2]))))
    else:
        asyncio.run(main())
