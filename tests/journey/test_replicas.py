"""Several daemons on one DynamoDB table: nothing twice, and nothing left undone by a dead one."""

import asyncio
import json
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiobotocore.session import get_session

from monitor.app import App
from monitor.clock import SystemClock
from monitor.opening import beside_the_daemon
from monitor.pipeline import Pipeline
from monitor.simulator.server import Simulator
from monitor.windows import Windows
from tests.journey.conftest import (
    ACCOUNT,
    REGION,
    Person,
    daemon,
    lead_to,
    process,
    settings_for,
    until,
)
from tests.tables import make_table

SHARED = {"kind": "dynamodb", "table": "kms-monitor"}


@pytest.fixture
async def table(simulator: Simulator) -> AsyncIterator[Any]:
    """The table, and an administrator's client."""
    async with get_session().create_client(
        "dynamodb",
        region_name=REGION,
        endpoint_url=simulator.endpoint_url,
        aws_access_key_id="admin",
        aws_secret_access_key="any",
    ) as client:
        await make_table(client)
        yield client


def value(app: App, name: str, **labels: str) -> float:
    return app.metrics.registry.get_sample_value(f"kms_monitor_{name}", labels) or 0.0


def total(app: App, name: str) -> float:
    samples = (one for family in app.metrics.registry.collect() for one in family.samples)
    return sum(one.value for one in samples if one.name == f"kms_monitor_{name}")


def windows_of(app: App) -> Windows:
    journey = app.consumers[0].journey
    assert isinstance(journey, Pipeline)
    return journey.detection.knowledge.windows


def ours(record: dict[str, Any]) -> bool:
    return str(record["userIdentity"].get("arn", "")).endswith("kms-monitor")


def useless_writes(simulator: Simulator) -> list[str]:
    """The daemons' calls that changed nothing, because another one had been made before.

    Told from the order of all calls that AWS carried out.
    """
    states: dict[str, str] = defaultdict(lambda: "Enabled")
    found = []
    moves = {
        "DisableKey": "Disabled",
        "EnableKey": "Enabled",
        "CancelKeyDeletion": "Disabled",
        "ScheduleKeyDeletion": "PendingDeletion",
    }
    for one in simulator.records:
        if one["eventName"] in moves and "errorCode" not in one:
            arn, name = one["resources"][0]["ARN"], one["eventName"]
            if ours(one) and states[arn] == moves[name]:
                found.append(f"{name} {arn}")
            states[arn] = moves[name]
    return found


def count(simulator: Simulator, name: str) -> int:
    """The daemons' calls of that name."""
    return sum(one["eventName"] == name and ours(one) for one in simulator.records)


@pytest.mark.timeout(400)
async def test_two_replicas_and_500_attacks_on_100_keys(
    simulator: Simulator,
    people: Callable[[str], Person],
    sqs: Any,
    table: Any,
    tmp_path: Path,
) -> None:
    """With duplicates and disorder: all is right at the end, and no key was fought over."""
    keys = [await people("admin").create_key() for _ in range(100)]
    dice = random.Random(7)
    mallory = people("mallory").kms
    responders = {"restore_key": {"doubt_seconds": 1}}
    queues = [{"url": simulator.queue_url, "region": REGION, "wait_seconds": 1, "in_flight": 8}]
    # moto answers one call after the other: without what only notes it has enough to do.
    seen: dict[str, Any] = {"key_disabled": {}, "key_deletion_scheduled": {}, "key_enabled": {}}
    settings = settings_for(
        simulator,
        tmp_path,
        store=SHARED,
        responders=responders,
        queues=queues,
        detectors=seen | {"key_deletion_cancelled": {}},
        default_detectors=False,
        limits={"repairs_per_key": 1000, "repairs_per_hour": 100_000},
    )
    async with AsyncExitStack() as stack:
        apps = [await stack.enter_async_context(daemon(settings)) for _ in range(2)]
        assert sorted(value(app, "leader") for app in apps) == [0, 1]
        assert count(simulator, "ListKeys") == 1
        simulator.set_knob("duplicates", 0.3)
        simulator.set_knob("disorder", 1.0)
        done: Counter[str] = Counter()
        while done.total() < 500:
            arn = dice.choice(keys)
            state = simulator.kms.state_of(arn)
            if state == "Enabled" and dice.random() < 0.6:
                await mallory.disable_key(KeyId=arn)
            elif state in {"Enabled", "Disabled"}:
                await mallory.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)
            else:
                await asyncio.sleep(0.005)
                continue
            done[arn] += 1
        await simulator.settle()
        await until(lambda: {simulator.kms.state_of(arn) for arn in keys} == {"Enabled"}, 240)

        async def all_settled() -> bool:
            names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
            answer = await sqs.get_queue_attributes(
                QueueUrl=simulator.queue_url, AttributeNames=names
            )
            return all(int(number) == 0 for number in answer["Attributes"].values())

        await until(all_settled, 120)
        assert {simulator.kms.state_of(arn) for arn in keys} == {"Enabled"}
        assert useless_writes(simulator) == []
        # Both had their share, and neither found the store wanting.
        worked = [
            value(app, "actions_total", responder="restore_key", outcome="done") for app in apps
        ]
        assert min(worked) > 20
        assert [total(app, "store_errors_total") for app in apps] == [0, 0]
        assert count(simulator, "ListKeys") == 1
    assert await held(table) == set()


async def held(table: Any) -> set[str]:
    """The leases that somebody has, but for the leader's."""
    items = (await table.scan(TableName="kms-monitor", ConsistentRead=True))["Items"]
    actions = {one["pk"]["S"] for one in items if one["sk"]["S"] == "action"}
    done = {one["pk"]["S"] for one in items if "finished" in one}
    return actions - done - {"action|leader"}


@pytest.mark.timeout(120)
async def test_a_replica_is_killed_in_a_repair_and_another_takes_over(
    simulator: Simulator,
    people: Callable[[str], Person],
    table: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its leases would hold for minutes; that it is dead shows sooner."""
    arn = await people("admin").create_key()
    shared = SHARED | {"replica_seconds": 6}
    queues = [
        {"url": simulator.queue_url, "region": REGION, "wait_seconds": 1, "visibility_seconds": 10}
    ]
    async with process(simulator, tmp_path, store=shared, queues=queues) as killed:
        carry_out = simulator.kms.call

        def call(operation: str, *given: Any, **named: Any) -> Any:
            answer = carry_out(operation, *given, **named)
            if operation == "CancelKeyDeletion":
                killed.kill()  # before it hears that this was done
            return answer

        monkeypatch.setattr(simulator.kms, "call", call)
        await people("mallory").kms.schedule_key_deletion(KeyId=arn)
        await asyncio.wait_for(killed.wait(), 20)
        monkeypatch.undo()
        lead_to(simulator, monkeypatch)
    assert simulator.kms.state_of(arn) == "Disabled"
    assert {f"action|key|{arn}"} <= await held(table)
    began = time.monotonic()
    async with daemon(settings_for(simulator, tmp_path, store=shared, queues=queues)) as app:
        await until(lambda: simulator.kms.state_of(arn) == "Enabled", 40)
        await until(lambda: value(app, "leader") == 1, 20)
        await until(lambda: value(app, "lease_takeovers_total") >= 1, 20)
    # The lease of the event alone would have held for five minutes, that of the key for three.
    assert time.monotonic() - began < 60
    assert count(simulator, "CancelKeyDeletion") == 1


async def test_a_leader_that_stops_hands_over(
    simulator: Simulator, people: Callable[[str], Person], table: Any, tmp_path: Path
) -> None:
    settings = settings_for(simulator, tmp_path, store=SHARED)
    await people("admin").create_key()
    async with daemon(settings) as follower_first:
        assert value(follower_first, "leader") == 1
        async with daemon(settings) as second:
            assert value(second, "leader") == 0
            await until(lambda: not second.readiness())
            follower_first.stop()
            await until(lambda: value(second, "leader") == 1, 25)
            await until(lambda: count(simulator, "ListKeys") == 2)


async def test_a_replica_learns_what_the_other_accepted_and_noted(
    simulator: Simulator,
    people: Callable[[str], Person],
    table: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("monitor.replicas.REFRESH_SECONDS", 0.5)
    arn = await people("admin").create_key()
    settings = settings_for(
        simulator, tmp_path, store=SHARED, canary={"keys": [arn], "every_seconds": 1}
    )
    async with daemon(settings) as leader, daemon(settings) as follower:
        await until(
            lambda: (
                total(leader, "last_canary_timestamp_seconds")
                and total(follower, "last_canary_timestamp_seconds")
            ),
            30,
        )
        # Only one sends them, and each of the two hears a share of the events.
        windows = [windows_of(app) for app in (leader, follower)]
        await until(
            lambda: (
                len(windows[0].of("canary", arn).entries) > 3
                and {one.event_id for one in windows[0].of("canary", arn).entries[:3]}
                == {one.event_id for one in windows[1].of("canary", arn).entries[:3]}
            ),
            30,
        )
        assert not any("canary" in part for part in leader.readiness())


async def test_without_the_store_deletions_are_undone_all_the_same(
    simulator: Simulator,
    people: Callable[[str], Person],
    table: Any,
    tmp_path: Path,
) -> None:
    """Marked as unrecorded: by the metric, by the log, and by a replica that is not ready."""
    arn = await people("admin").create_key()
    async with daemon(settings_for(simulator, tmp_path, store=SHARED)) as app:
        simulator.set_knob("deny", ("kms-monitor:dynamodb:*",))
        began = time.monotonic()
        await people("mallory").kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)
        await until(lambda: simulator.kms.state_of(arn) == "Enabled", 20)
        assert time.monotonic() - began < 10
        assert value(app, "store_errors_total", call="claim") >= 1
        await until(lambda: "AccessDenied" in app.readiness().get("store", ""), 15)
        simulator.set_knob("deny", ())
        await until(lambda: "store" not in app.readiness(), 15)
        await people("mallory").kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)
        await until(lambda: simulator.kms.state_of(arn) == "Enabled", 20)
    assert useless_writes(simulator) == []


async def test_a_daemon_that_never_reached_the_table_undoes_deletions(
    simulator: Simulator,
    people: Callable[[str], Person],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:9")
    arn = await people("admin").create_key()
    async with daemon(settings_for(simulator, tmp_path, store=SHARED)) as app:
        assert value(app, "leader") == 1  # to look twice is better than never
        began = time.monotonic()
        await people("mallory").kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)
        await until(lambda: simulator.kms.state_of(arn) == "Enabled", 30)
        assert time.monotonic() - began < 15
        assert "be reached" in app.readiness()["store"]


async def test_a_table_without_time_to_live_is_told_of(
    simulator: Simulator, table: Any, tmp_path: Path
) -> None:
    await make_table(table, "other", TimeToLiveSpecification=None)
    store = SHARED | {"table": "other"}
    async with daemon(settings_for(simulator, tmp_path, store=store)) as app:
        await until(lambda: "time to live" in app.readiness().get("store", ""))


@pytest.mark.parametrize(
    ("name", "says"),
    [("kms-monitor", ""), ("other", "time to live must be enabled"), ("none", "ResourceNotFound")],
)
async def test_check_looks_at_the_table(
    simulator: Simulator, table: Any, tmp_path: Path, name: str, says: str
) -> None:
    await make_table(table, "other", TimeToLiveSpecification=None)
    settings = settings_for(simulator, tmp_path, store=SHARED | {"table": name})
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump(settings.model_dump(mode="json", exclude_none=True)))
    command = [sys.executable, "-m", "monitor", "check", "--json", "--config", str(file)]
    asked = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, errors = await asked.communicate()
    assert b"the settings are good" in errors
    found = json.loads(out)
    (row,) = (one for one in found["rows"] if one["call"] == "store dynamodb")
    assert says in row["why"]
    assert (row["answer"] == "allowed", found["well"]) == (not says, not says)
    assert asked.returncode == bool(says)
    items = (await table.scan(TableName="kms-monitor"))["Items"]
    assert items == []  # who checks need not be allowed to write


async def test_the_commands_beside_the_daemon_use_the_table(
    simulator: Simulator, people: Callable[[str], Person], table: Any, tmp_path: Path
) -> None:
    arn = await people("admin").create_key()
    settings = settings_for(simulator, tmp_path, store=SHARED)
    async with daemon(settings) as app:
        # The table is a resource of ours: whoever deletes it is told of.
        journey = app.consumers[0].journey
        assert isinstance(journey, Pipeline)
        assert journey.detection.knowledge.watched.tables == {
            f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/kms-monitor"
        }
        await people("mallory").kms.disable_key(KeyId=arn)
        await until(lambda: simulator.kms.state_of(arn) == "Enabled")

        async def known() -> bool:
            async with beside_the_daemon(settings, SystemClock()) as store:
                return [one.key.arn for one in await store.incidents()] == [arn]

        await until(known)
