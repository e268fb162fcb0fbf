"""Incidents: opened by whoever breaks a key, closed by whoever makes it right, against the live key."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.session import get_session

from monitor import incidents
from monitor.app import App
from monitor.clock import SystemClock
from monitor.incident import Incident
from monitor.key import KeyRef
from monitor.settings import Settings
from monitor.simulator.server import Simulator
from monitor.stores.sqlite import SqliteStore
from tests.journey.conftest import Person, daemon, settings_for, until


def value(app: App, name: str, **labels: str) -> float:
    return app.metrics.registry.get_sample_value(f"kms_monitor_{name}", labels) or 0.0


def still_open(app: App) -> float:
    words = ("info", "low", "medium", "high", "critical")
    return sum(value(app, "open_incidents", severity=word) for word in words)


class Book:
    """What the store says, read as the command `incidents` does: beside the daemon."""

    def __init__(self, settings: Settings, arn: str) -> None:
        self.path, self.key = settings.store.path, KeyRef.parse(arn)

    async def last(self) -> Incident | None:
        assert self.key is not None
        store = await SqliteStore.open(self.path, SystemClock())
        try:
            return await store.incident(self.key)
        finally:
            await store.close()

    async def until(self, holds: Callable[[Incident], bool]) -> Incident:
        async def check() -> bool:
            found = await self.last()
            return found is not None and holds(found)

        await until(check)
        found = await self.last()
        assert found is not None
        return found


def names(incident: Incident) -> list[str]:
    return [one.event_name for one in incident.findings]


async def test_others_break_and_mend_a_key_that_is_only_watched(
    simulator: Simulator, people: Callable[[str], Person], tmp_path: Path
) -> None:
    admin, mallory = people("admin"), people("mallory")
    arn = await admin.create_key()
    settings = settings_for(simulator, tmp_path, mode="observe")
    book = Book(settings, arn)
    async with daemon(settings) as app:
        await mallory.kms.disable_key(KeyId=arn)
        first = await book.until(lambda one: one.open)
        assert first.findings[0].actor.endswith("/mallory")
        assert first.findings[0].dry_run
        await until(lambda: value(app, "open_incidents", severity="high") == 1)
        await admin.kms.enable_key(KeyId=arn)
        ended = await book.until(lambda one: not one.open)
        assert (ended.id, ended.outcome) == (first.id, "the key is Enabled")
        assert ended.closed_by.endswith("/admin")
        await until(lambda: value(app, "incidents_closed_total", by="others") == 1)

        # CloudTrail's times are whole seconds: in this one it would be the same incident.
        await asyncio.sleep(1.1)
        await mallory.kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)
        second = await book.until(lambda one: one.open)
        assert second.id != first.id
        await admin.kms.cancel_key_deletion(KeyId=arn)
        told = await book.until(lambda one: one.mended_by.endswith("/admin"))
        assert told.open, "a cancelled deletion leaves the key disabled"
        assert simulator.kms.state_of(arn) == "Disabled"
        await admin.kms.enable_key(KeyId=arn)
        ended = await book.until(lambda one: not one.open)
        assert ended.closed_by.endswith("/admin")
        assert (ended.id, names(ended)) == (second.id, ["ScheduleKeyDeletion"])
        await until(lambda: still_open(app) == 0)


async def test_what_we_put_back_is_closed_by_us(
    simulator: Simulator, people: Callable[[str], Person], tmp_path: Path
) -> None:
    arn = await people("admin").create_key()
    settings = settings_for(simulator, tmp_path)
    book = Book(settings, arn)
    async with daemon(settings) as app:
        await people("mallory").kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)
        ended = await book.until(lambda one: not one.open)
        assert simulator.kms.state_of(arn) == "Enabled"
        assert ended.closed_by == "us"
        assert "verified Enabled" in ended.outcome
        await until(lambda: value(app, "incidents_closed_total", by="us") == 1)
        assert value(app, "incidents_opened_total") == 1


async def test_disable_then_schedule_escalates_and_somebody_else_ends_it(
    simulator: Simulator, people: Callable[[str], Person], tmp_path: Path
) -> None:
    """We are denied the repair: the second call is news all the same, and so is the end."""
    admin, mallory = people("admin"), people("mallory")
    arn = await admin.create_key()
    denied = ("kms-monitor:kms:EnableKey", "kms-monitor:kms:CancelKeyDeletion")
    settings = settings_for(simulator, tmp_path)
    book = Book(settings, arn)
    async with daemon(settings) as app:
        simulator.set_knob("deny", denied)
        await mallory.kms.disable_key(KeyId=arn)
        first = await book.until(lambda one: one.open)
        assert first.outcome.startswith("denied: ")
        await mallory.kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)
        second = await book.until(lambda one: one.count == 2)
        assert second.id == first.id
        assert names(second) == ["DisableKey", "ScheduleKeyDeletion"]
        assert [one.stage.value for one in second.findings] == ["opened", "escalated"]
        assert value(app, "incidents_opened_total") == 1
        assert await kept(book, second)
        await admin.kms.cancel_key_deletion(KeyId=arn)
        await admin.kms.enable_key(KeyId=arn)
        ended = await book.until(lambda one: not one.open)
        assert ended.id == first.id


async def kept(book: Book, known: Incident) -> bool:
    """Whether it is still the same open incident, after some redeliveries may have come."""
    found = await book.last()
    return found is not None and found.open and found.count == known.count


async def test_it_ends_also_where_no_message_tells_of_it(
    simulator: Simulator,
    people: Callable[[str], Person],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(incidents, "EVERY", 0.1)
    monkeypatch.setattr(incidents, "GRACE", 0.3)
    arn = await people("admin").create_key()
    settings = settings_for(simulator, tmp_path, mode="observe")
    book = Book(settings, arn)
    where: dict[str, Any] = {"account": arn.split(":")[4], "region": arn.split(":")[3]}
    deadline = ("key_deletion_deadline_timestamp_seconds", where | {"key_id": arn.split("/")[1]})
    async with daemon(settings) as app:
        await people("mallory").kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)
        await book.until(lambda one: one.open)
        await until(lambda: value(app, deadline[0], **deadline[1]) > 0)
    # The daemon is away while the key is mended, and the news of it is lost.
    await people("admin").kms.cancel_key_deletion(KeyId=arn)
    await people("admin").kms.enable_key(KeyId=arn)
    await lose_the_news(simulator)
    async with daemon(settings) as app:
        ended = await book.until(lambda one: not one.open)
        assert ended.closed_by == "nobody knows"
        await until(lambda: value(app, "incidents_closed_total", by="others") == 1)
        found = {"detector": "key_right_again", "severity": "info"}
        assert value(app, "findings_total", **found) >= 1
        assert value(app, deadline[0], **deadline[1]) == 0


async def lose_the_news(simulator: Simulator) -> None:
    async with get_session().create_client(
        "sqs",
        region_name="eu-west-1",
        endpoint_url=simulator.endpoint_url,
        aws_access_key_id="admin",
        aws_secret_access_key="any",
    ) as sqs:
        await sqs.purge_queue(QueueUrl=simulator.queue_url)
