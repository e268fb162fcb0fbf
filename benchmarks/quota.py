"""Fifty keys scheduled for deletion at once, with AWS's quotas: how fast the deletions are cancelled, against the
ideal, which is the quota itself: five at once, then five a second for each account and Region (aws-facts 3.7).

The simulator and the daemon share a process; the times are those of the calls that the simulator allowed.
"""

import asyncio
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
from monitor.simulator.server import ACCOUNTS, Simulator
from monitor.simulator.words import Caller

KEYS = 50
RATE = 5.0
REGION = "eu-west-1"
IDEAL = (KEYS - RATE) / RATE
"""Seconds from the first cancelled deletion to the last."""
GOOD = 0.9


class Notes:
    """When which call of the daemon was allowed."""

    def __init__(self, simulator: Simulator) -> None:
        self.times: dict[str, list[float]] = {}
        self.throttled = 0
        self.call = simulator.kms.call
        simulator.kms.call = self.noted  # type: ignore[method-assign]

    def noted(self, operation: str, parameters: Any, *, caller: Caller, **where: Any) -> Any:
        try:
            reply = self.call(operation, parameters, caller=caller, **where)
        except Exception as error:
            self.throttled += "ThrottlingException" in str(error)
            raise
        if caller.user == "kms-monitor":
            self.times.setdefault(operation, []).append(time.monotonic())
        return reply


async def main() -> int:
    logs.set_up("error")
    async with Simulator(seed=1) as simulator:
        os.environ |= {
            "AWS_ENDPOINT_URL": simulator.endpoint_url,
            "AWS_ACCESS_KEY_ID": "kms-monitor",
            "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_DEFAULT_REGION": REGION,
        }
        with tempfile.TemporaryDirectory() as folder:
            notes = await attack(simulator, Path(folder))
    return report(notes)


async def attack(simulator: Simulator, folder: Path) -> Notes:
    account = ACCOUNTS[0]
    settings = Settings.model_validate(
        {
            "mode": "enforce",
            "accounts": [{"id": account, "regions": [REGION]}],
            "queues": [{"url": simulator.queue_url, "region": REGION, "wait_seconds": 1}],
            "store": {"path": str(folder / "state.db")},
            "web": {"port": 0},
        }
    )
    mallory = Caller(account=account, arn=f"arn:aws:iam::{account}:user/mallory", user="mallory")
    where: dict[str, Any] = {"caller": mallory, "account": account, "region": REGION}
    keys = [
        simulator.kms.call("CreateKey", {}, **where).body["KeyMetadata"]["Arn"] for _ in range(KEYS)
    ]
    app = App(settings, load(settings, Path("settings")))
    up = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(app.run(up.set), name="the daemon")
        await up.wait()
        notes = Notes(simulator)
        await damage(simulator.endpoint_url, keys)
        simulator.set_knob("quota_scale", 1.0)
        async with asyncio.timeout(120):
            while {simulator.kms.state_of(arn) for arn in keys} != {"Enabled"}:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        app.stop()
    return notes


async def damage(endpoint_url: str, keys: list[str]) -> None:
    from aiobotocore.session import get_session  # noqa: PLC0415

    async with get_session().create_client(
        "kms", REGION, endpoint_url=endpoint_url, aws_access_key_id="mallory",
        aws_secret_access_key="any",
    ) as kms:  # fmt: skip
        await asyncio.gather(*(kms.schedule_key_deletion(KeyId=key) for key in keys))


def report(notes: Notes) -> int:
    """The figures; 1 if they are not good enough."""
    cancels, enables = notes.times["CancelKeyDeletion"], notes.times["EnableKey"]
    took = cancels[-1] - cancels[0]
    ratio = IDEAL / took
    before = sum(moment < cancels[-1] for moment in enables)
    table = Table("what", "value", title=f"{KEYS} keys scheduled for deletion at once")
    table.add_row("deletions cancelled", f"{len(cancels)}")
    table.add_row("seconds from the first to the last", f"{took:.2f} (ideal: {IDEAL:.2f})")
    table.add_row("of the quota's rate", f"{ratio:.2f}")
    table.add_row("keys enabled before the last cancel", f"{before}")
    table.add_row("calls throttled", f"{notes.throttled}")
    table.add_row("seconds until all are enabled", f"{enables[-1] - cancels[0]:.2f}")
    Console().print(table)
    return 0 if ratio >= GOOD and before == 0 else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
