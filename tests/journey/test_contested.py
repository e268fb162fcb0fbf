"""A fight for a key, against the real daemon: it ends, and the key is put back when it is over."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from monitor.app import App
from monitor.cli import app as program
from monitor.key import KeyRef
from monitor.loops import held
from monitor.pipeline import Pipeline
from monitor.repair.work import ROUNDS
from monitor.simulator.server import Simulator
from tests.journey.conftest import ACCOUNT, REGION, Person, daemon, settings_for, until
from tests.journey.scene import client

OURS = f"arn:aws:iam::{ACCOUNT}:user/kms-monitor"


def calls(simulator: Simulator, name: str, arn: str = OURS) -> int:
    return sum(
        one["eventName"] == name and one["userIdentity"].get("arn") == arn
        for one in simulator.records
    )


@asynccontextmanager
async def fighter(simulator: Simulator, mallory: Person, arn: str) -> AsyncIterator[None]:
    """A script that disables the key each time that it is enabled."""

    async def fight() -> None:
        while True:
            if simulator.kms.state_of(arn) == "Enabled":
                await mallory.kms.disable_key(KeyId=arn)
            await asyncio.sleep(0.05)

    task = asyncio.create_task(fight(), name="fight for the key")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def told(sqs: Any, simulator: Simulator) -> list[dict[str, Any]]:
    """What the topic delivered so far."""
    found: list[dict[str, Any]] = []
    while True:
        answer = await sqs.receive_message(
            QueueUrl=simulator.topic_queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=1
        )
        if not (messages := answer.get("Messages")):
            return found
        found += [json.loads(json.loads(one["Body"])["Message"]) for one in messages]


async def test_a_fight_ends_and_the_key_is_put_back_when_it_is_over(
    simulator: Simulator,
    people: Callable[[str], Person],
    sqs: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(held, "EVERY", 0.3)
    arn = await people("admin").create_key()
    settings = settings_for(
        simulator,
        tmp_path,
        limits={"repairs_per_key": 3, "window_minutes": 0.15},
        responders={
            "restore_key": {"doubt_seconds": 0},
            "sns": {"topic_arn": simulator.topic_arn},
        },
    )
    async with daemon(settings) as app:

        def sample(name: str, **labels: str) -> float | None:
            return app.metrics.registry.get_sample_value(f"kms_monitor_{name}", labels)

        async with fighter(simulator, people("mallory"), arn):
            await until(lambda: sample("contested_keys") == 1, 15)
        assert calls(simulator, "EnableKey") == 3
        assert simulator.kms.state_of(arn) == "Disabled"
        for _ in range(2):
            await people("mallory").kms.schedule_key_deletion(KeyId=arn)
            await until(lambda: simulator.kms.state_of(arn) == "Disabled")
        assert calls(simulator, "CancelKeyDeletion") == 2
        assert calls(simulator, "EnableKey") == 3
        assert (sample("budget_refusals_total", budget="key") or 0) >= 2
        # Nobody fights any more: when the window has passed it is put back.
        await until(lambda: simulator.kms.state_of(arn) == "Enabled", 25)
        await until(lambda: sample("contested_keys") == 0)
        await until(lambda: sum(one.value for one in open_incidents(app)) == 0)
    assert calls(simulator, "EnableKey") == 4
    pages = [one for one in await told(sqs, simulator) if one["incident"]]
    contested = [one for one in pages if one["incident"]["stage"] == "contested"]
    assert len(contested) == 1
    (page,) = contested
    assert page["severity"] == "critical"
    assert page["budget"] == "key"
    assert page["incident"]["actors"] == [f"arn:aws:iam::{ACCOUNT}:user/mallory"]
    assert "CONTESTED" in page["subject"]
    assert any("incidents --resume" in step for step in page["next_steps"])
    assert pages[-1]["incident"]["status"] == "closed"


async def test_a_person_has_the_key_put_back_at_once(
    simulator: Simulator,
    people: Callable[[str], Person],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(held, "EVERY", 0.3)
    arn = await people("admin").create_key()
    settings = settings_for(
        simulator,
        tmp_path,
        limits={"repairs_per_key": 1},
        responders={"restore_key": {"doubt_seconds": 0}},
    )
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump(settings.model_dump(mode="json", exclude_none=True)))
    async with daemon(settings) as app:
        async with fighter(simulator, people("mallory"), arn):
            await until(lambda: contested(app) == 1, 15)

        def command(*words: str) -> str:
            result = CliRunner().invoke(program, ["incidents", *words, "--config", str(file)])
            assert result.exit_code == 0, result.output
            return result.stdout

        found = json.loads(await asyncio.to_thread(command, "--open", "--json"))
        resume = ("--resume", found["id"][:8], "--reason", "they stopped")
        await asyncio.to_thread(command, *resume)
        await until(lambda: simulator.kms.state_of(arn) == "Enabled")
        await until(lambda: contested(app) == 0)


def open_incidents(app: Any) -> list[Any]:
    return [
        one
        for family in app.metrics.registry.collect()
        for one in family.samples
        if one.name == "kms_monitor_open_incidents"
    ]


def by_role(simulator: Simulator, name: str, role: str) -> int:
    issuers = (
        one["userIdentity"].get("sessionContext", {}).get("sessionIssuer", {})
        for one in simulator.records
        if one["eventName"] == name
    )
    return sum(one.get("userName") == role for one in issuers)


async def test_two_teams_with_other_ideas_of_what_is_right_do_not_fight_for_ever(
    simulator: Simulator, people: Callable[[str], Person], sqs: Any, tmp_path: Path
) -> None:
    """Each has a daemon of its own, with a role, a queue and a store of its own."""
    admin = people("admin")
    first, second = await admin.create_key(), await admin.create_key()
    await admin.kms.create_alias(AliasName="alias/payments", TargetKeyId=first)
    other = (await sqs.create_queue(QueueName="other"))["QueueUrl"]
    other_arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:other"
    async with client(simulator, "events", "admin") as events:
        target = {"Id": "other", "Arn": other_arn}
        await events.put_targets(Rule=simulator.rule_name, Targets=[target])

    def team(name: str, queue: str) -> Any:
        role = f"arn:aws:iam::{ACCOUNT}:role/{name}"
        return settings_for(
            simulator,
            tmp_path,
            accounts=[{"id": ACCOUNT, "regions": [REGION], "role_arn": role}],
            queues=[{"url": queue, "region": REGION, "wait_seconds": 1}],
            # The other one is faster than our reading back: that must not take a minute each time.
            responders={"restore_key": {"doubt_seconds": 0, "settle_seconds": 1}},
            store={"path": str(tmp_path / f"{name}.db")},
            sweep={"every_minutes": 0.03, "grace_minutes": 0, "calls_per_second": 100},
            limits={"repairs_per_key": 2},
        )

    ours, theirs = team("ours", simulator.queue_url), team("theirs", other)
    async with daemon(ours) as app:
        assert await knows_alias(app, first)
    await admin.kms.update_alias(AliasName="alias/payments", TargetKeyId=second)
    async with daemon(theirs) as they:
        assert await knows_alias(they, second)
        async with daemon(ours) as we:
            await until(lambda: contested(we) + contested(they) >= 1, 25)
            before = updates(simulator)
            await asyncio.sleep(4)
            assert updates(simulator) == before
    # The last repair may have been planned anew, for the other one was faster than its reading back.
    assert 1 <= by_role(simulator, "UpdateAlias", "ours") <= 2 + ROUNDS
    assert 1 <= by_role(simulator, "UpdateAlias", "theirs") <= 2 + ROUNDS


def updates(simulator: Simulator) -> int:
    return sum(by_role(simulator, "UpdateAlias", name) for name in ("ours", "theirs"))


def contested(app: App) -> float:
    return app.metrics.registry.get_sample_value("kms_monitor_contested_keys") or 0.0


async def knows_alias(app: App, arn: str) -> bool:
    """Wait until the daemon has read the key's aliases."""
    journey = app.consumers[0].journey
    assert isinstance(journey, Pipeline)
    key = KeyRef.parse(arn)
    assert key is not None

    def reads() -> bool:
        known = journey.detection.knowledge.key(key)
        return known is not None and bool(known.aliases)

    await until(reads)
    return True
