"""Evidence in what people are told, reminders of a key that could not be saved, and the action log."""

import asyncio
import json
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from monitor import incidents
from monitor.action_log import LogEntry, faults
from monitor.app import App
from monitor.assembly import load
from monitor.clock import SystemClock
from monitor.settings import Settings
from monitor.simulator.server import Simulator
from monitor.stores.sqlite import SqliteStore
from tests.journey.conftest import Person, process, until
from tests.journey.scene import denied, night
from tests.journey.test_approvals import approve, command, told_settings

HOUR, DAY = 3600.0, 86400.0


class Post:
    """What people got: the notifications that the topic delivered."""

    def __init__(self, simulator: Simulator, sqs: Any) -> None:
        self.url, self.sqs = simulator.topic_queue_url, sqs
        self.letters: list[dict[str, Any]] = []

    async def collect(self) -> list[dict[str, Any]]:
        answer = await self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10)
        for one in answer.get("Messages", []):
            self.letters.append(json.loads(json.loads(one["Body"])["Message"]))
            await self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=one["ReceiptHandle"])
        return self.letters

    async def until(self, detector: str, count: int = 1) -> dict[str, Any]:
        """The newest notification of a detector, once there are so many."""

        def of_it() -> list[dict[str, Any]]:
            return [one for one in self.letters if one["detector"] == detector]

        async def came() -> bool:
            await self.collect()
            return len(of_it()) >= count

        await until(came)
        return of_it()[-1]


async def logged(settings: Settings) -> list[LogEntry]:
    store = await SqliteStore.open(settings.store.path, SystemClock())
    try:
        return await store.logged()
    finally:
        await store.close()


async def test_people_are_told_what_is_at_stake(
    simulator: Simulator, sqs: Any, tmp_path: Path
) -> None:
    """The key was used, has a grant and an alias, and somebody misses it already."""
    post = Post(simulator, sqs)

    async def use(scene: Any) -> None:
        key = scene.keys[0]
        role = "arn:aws:iam::111122223333:role/app"
        await scene.admin.kms.create_grant(KeyId=key, GranteePrincipal=role, Operations=["Decrypt"])
        scene.sealed = (await scene.admin.kms.encrypt(KeyId=key, Plaintext=b"x"))["CiphertextBlob"]

    async with night(simulator, tmp_path, "kms", keys=1, prepare=use) as scene:
        key = scene.key()
        await scene.mallory.kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
        told = (await post.until("key_deletion_scheduled"))["incident"]
        assert told["stage"] == "opened"
        evidence = told["evidence"]
        assert evidence["missing"] == {}
        assert evidence["last_use"]["call"] == "Encrypt"
        assert (evidence["grants"], evidence["grantees"]) == (
            1,
            ["arn:aws:iam::111122223333:role/app"],
        )
        assert (evidence["aliases"], evidence["alias_names"]) == (1, ["alias/payments-0"])
        assert evidence["deadline"] is not None
        assert evidence["failed_calls"] == 0
        await denied(scene.admin.kms.decrypt(CiphertextBlob=scene.sealed))  # type: ignore[attr-defined]
        evidence = (await post.until("unusable_key_used"))["incident"]["evidence"]
        assert evidence["failed_calls"] >= 1
        assert evidence["failed_uses"][0]["who"].endswith("user/admin")


async def test_what_was_put_back_is_told_with_evidence_and_logged(
    simulator: Simulator, people: Callable[[str], Person], sqs: Any, tmp_path: Path
) -> None:
    settings, post = told_settings(simulator, tmp_path), Post(simulator, sqs)
    key = await people("admin").create_key()
    async with running(settings):
        assert (await approve(tmp_path, key))[0] == 0
        await people("mallory").kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
        told = await post.until("key_deletion_scheduled")
        assert told["outcome"] == "done"
        assert told["incident"]["status"] == "closed"
        assert told["incident"]["evidence"]["tracked_since"] is not None
        assert (await approve(tmp_path, key, "--ticket", "CHG-2"))[0] == 0
    entries = await logged(settings)
    assert faults(entries) == []
    did = [one.what["deed"] for one in entries]
    assert did == ["started", "approval_given", "action", "approval_given", "stopped"]
    assert entries[2].what["calls"] == ["CancelKeyDeletion", "EnableKey"]
    assert entries[2].what["actor"].endswith("user/mallory")
    number, text, _ = await command(tmp_path, "log", "verify")
    assert (number, "5 entries" in text) == (0, True)


# -- reminders


class Moved:
    """The machine's clock, put forward by hand."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        return time.time() + self.ahead

    def monotonic(self) -> float:
        return time.monotonic()


@asynccontextmanager
async def running(settings: Settings, clock: Moved | None = None) -> AsyncIterator[App]:
    app = App(settings, load(settings, Path("settings.yaml")), clock=clock)
    up = asyncio.Event()
    lives = asyncio.create_task(app.run(up.set), name="the daemon under test")
    await asyncio.wait_for(up.wait(), 20)
    try:
        yield app
    finally:
        app.stop()
        await asyncio.wait_for(lives, 30)


async def test_a_key_that_we_may_not_save_is_reminded_of(
    simulator: Simulator,
    people: Callable[[str], Person],
    sqs: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(incidents, "EVERY", 0.1)
    settings, post, clock = told_settings(simulator, tmp_path), Post(simulator, sqs), Moved()
    key = await people("admin").create_key()
    simulator.set_knob("deny", ("kms-monitor:kms:CancelKeyDeletion",))
    near = "deletion_deadline_near"
    async with running(settings, clock):
        await people("mallory").kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
        first = await post.until("key_deletion_scheduled")
        assert first["outcome"] == "denied"
        clock.ahead = 4.5 * DAY
        reminder = await post.until(near)
        assert reminder["incident"]["id"] == first["incident"]["id"]
        assert reminder["severity"] == "high"
        assert reminder["details"]["reminder_hours"] == "72"
        clock.ahead = 6 * DAY + 10 * HOUR
        assert (await post.until(near, 2))["details"]["reminder_hours"] == "24"
    # Down when six hours were left, and when three were.
    clock.ahead = 7 * DAY - 2 * HOUR
    async with running(settings, clock):
        late = await post.until(near, 3)
        assert late["details"]["reminder_hours"] == "6"
        assert float(late["details"]["hours_left"]) == pytest.approx(2, abs=0.1)
        assert late["severity"] == "critical"
    async with running(settings, clock):
        await asyncio.sleep(1)
        await post.collect()
    told = [one["details"]["reminder_hours"] for one in post.letters if one["detector"] == near]
    assert told == ["72", "24", "6"], "none is repeated after a restart"
    code, text, _ = await command(tmp_path, "incidents", "show", first["incident"]["id"][:8])
    assert code == 0
    assert "24 h before" in text


# -- the log of several


async def test_two_daemons_and_a_crash_leave_one_whole_log(
    simulator: Simulator, people: Callable[[str], Person], tmp_path: Path
) -> None:
    settings = told_settings(simulator, tmp_path)
    keys = [await people("admin").create_key() for _ in range(4)]

    def right() -> bool:
        return all(simulator.kms.state_of(key) == "Enabled" for key in keys)

    async def attack() -> None:
        for key in keys:
            await people("mallory").kms.disable_key(KeyId=key)
        await asyncio.gather(*(approve(tmp_path, key) for key in keys[:1]))
        await until(right, 20)

    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(process(simulator, tmp_path))
        other = await stack.enter_async_context(process(simulator, tmp_path))
        await attack()
        one.kill()
        await one.wait()
        await asyncio.sleep(1.5)  # its last long poll may still take messages
        await attack()
        other.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(other.wait(), 15) == 0
    entries = await logged(settings)
    assert faults(entries) == []
    did = [entry.what["deed"] for entry in entries]
    assert did.count("started") == 2
    assert did.count("stopped") == 1, "the other crashed"
    assert did.count("approval_given") == 2
    put_back = [entry.what["key"] for entry in entries if entry.what["deed"] == "action"]
    assert set(put_back) == set(keys)
    assert len(put_back) >= 2 * len(keys)
    head = (await command(tmp_path, "log", "head"))[1].strip()
    assert (await command(tmp_path, "log", "verify", "--head", head))[0] == 0
    number = next(entry.number for entry in entries if entry.what["deed"] == "action")
    with closing(sqlite3.connect(settings.store.path)) as database:
        database.execute(
            "UPDATE action_log SET record = replace(record, 'mallory', 'nobody')"
            f" WHERE number = {number}"
        )
        database.commit()
    code, _, text = await command(tmp_path, "log", "verify")
    assert code == 1
    assert f"entry {number} was changed" in text
