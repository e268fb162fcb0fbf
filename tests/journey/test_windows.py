"""What detectors noted outlives the daemon."""

from collections.abc import Callable
from pathlib import Path

import pytest

from monitor.app import App
from monitor.ledger import StoreError
from monitor.simulator.server import Simulator
from monitor.stores.sqlite import SqliteStore
from tests.journey.conftest import REGION, Person, daemon, process, settings_for, until


def told(app: App) -> float:
    labels = {"detector": "many_keys", "severity": "critical"}
    return app.metrics.registry.get_sample_value("kms_monitor_findings_total", labels) or 0.0


async def repaired(simulator: Simulator, arn: str) -> None:
    """What was noted is written after that; where it was not, its message comes again."""
    await until(lambda: simulator.kms.state_of(arn) == "Enabled", 25)


async def test_many_keys_are_told_once_across_a_kill(
    simulator: Simulator, people: Callable[[str], Person], tmp_path: Path
) -> None:
    mallory = people("mallory").kms
    keys = [await people("admin").create_key() for _ in range(3)]
    # What the dead one had taken comes again after this time.
    queue = {"url": simulator.queue_url, "region": REGION, "wait_seconds": 1}
    queue["visibility_seconds"] = 10
    async with process(simulator, tmp_path, queues=[queue]) as running:
        for arn in keys[:2]:
            await mallory.disable_key(KeyId=arn)
            await repaired(simulator, arn)
        running.kill()
        await running.wait()
    async with daemon(settings_for(simulator, tmp_path)) as app:
        assert told(app) == 0
        await mallory.disable_key(KeyId=keys[2])
        await repaired(simulator, keys[2])
        await until(lambda: told(app) == 1, 25)
    # What was told stays told: another start, and another key, say nothing new.
    async with daemon(settings_for(simulator, tmp_path)) as app:
        await mallory.disable_key(KeyId=keys[0])
        await repaired(simulator, keys[0])
        assert told(app) == 0


async def test_a_daemon_that_cannot_recall_repairs_all_the_same(
    simulator: Simulator,
    people: Callable[[str], Person],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def broken(store: SqliteStore, **_: object) -> None:
        raise StoreError("the disk is on fire")

    monkeypatch.setattr(SqliteStore, "entries", broken)
    arn = await people("admin").create_key()
    async with daemon(settings_for(simulator, tmp_path)) as app:
        labels = {"call": "recall"}
        name = "kms_monitor_store_errors_total"
        assert app.metrics.registry.get_sample_value(name, labels) == 1
        await people("mallory").kms.disable_key(KeyId=arn)
        await repaired(simulator, arn)
