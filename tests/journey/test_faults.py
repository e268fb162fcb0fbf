"""Bad days: signals, crashes, poison, forgeries, missing rights, a slow and forgetful AWS.

Where signals matter the daemon is a process of its own, started by its command.
"""

import asyncio
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.session import get_session

from monitor.app import App
from monitor.simulator.server import Simulator
from tests.journey.conftest import (
    ACCOUNT,
    REGION,
    Person,
    daemon,
    process,
    settings_for,
    until,
    wrap,
)

OTHER = "444455556666"
WRITES = {"EnableKey", "CancelKeyDeletion"}


def value(app: App, name: str, **labels: str) -> float:
    return app.metrics.registry.get_sample_value(f"kms_monitor_{name}", labels) or 0.0


def writes(simulator: Simulator) -> list[str]:
    """The daemon's own writing calls that AWS allowed."""
    return [
        one["eventName"]
        for one in simulator.records
        if one["eventName"] in WRITES
        and one["userIdentity"]["arn"].endswith("kms-monitor")
        and "errorCode" not in one
    ]


async def counts(sqs: Any, url: str) -> tuple[int, int]:
    """Visible and hidden messages."""
    answer = await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    found = answer["Attributes"]
    return (
        int(found["ApproximateNumberOfMessages"]),
        int(found["ApproximateNumberOfMessagesNotVisible"]),
    )


async def test_sigterm_during_an_idle_long_poll(
    simulator: Simulator, sqs: Any, tmp_path: Path
) -> None:
    async with process(simulator, tmp_path) as running:
        running.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(running.wait(), 10) == 0
    assert await counts(sqs, simulator.queue_url) == (0, 0)


async def test_sigterm_with_work_in_flight(
    simulator: Simulator, people: Callable[[str], Person], sqs: Any, tmp_path: Path
) -> None:
    """A key that KMS does not show as repaired holds the delivery; a stop gives it back."""
    arn = await people("admin").create_key()
    patient = {"restore_key": {"doubt_seconds": 60}}
    async with process(simulator, tmp_path, grace_seconds=1, responders=patient) as running:
        simulator.set_knob("consistency_seconds", 300.0)
        await people("mallory").kms.disable_key(KeyId=arn)
        await simulator.settle()

        async def taken() -> bool:
            return (await counts(sqs, simulator.queue_url))[1] >= 1

        await until(taken)
        running.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(running.wait(), 15) == 0
    simulator.set_knob("consistency_seconds", 0.0)
    visible, hidden = await counts(sqs, simulator.queue_url)
    assert visible >= 1
    assert hidden == 0
    async with daemon(settings_for(simulator, tmp_path)):
        await until(lambda: simulator.kms.state_of(arn) == "Enabled")


async def test_sigkill_between_the_repair_and_the_deletion(
    simulator: Simulator, people: Callable[[str], Person], sqs: Any, tmp_path: Path
) -> None:
    """The message comes again; the key is right, nothing is written twice, people are told."""
    arn = await people("admin").create_key()
    responders = {
        "restore_key": {"doubt_seconds": 0},
        # Nobody listens there: the delivery cannot be settled before the kill.
        "mqtt": {"host": "127.0.0.1", "port": 1, "tls": False, "ack_seconds": 5},
    }
    queues = [{"url": simulator.queue_url, "region": REGION, "wait_seconds": 1}]
    queues[0]["visibility_seconds"] = 10
    async with process(simulator, tmp_path, responders=responders, queues=queues) as running:
        await people("mallory").kms.disable_key(KeyId=arn)
        await until(lambda: simulator.kms.state_of(arn) == "Enabled")
        running.kill()
        await running.wait()
    assert writes(simulator) == ["EnableKey"]
    told = {"restore_key": {"doubt_seconds": 0}, "sns": {"topic_arn": simulator.topic_arn}}
    async with daemon(settings_for(simulator, tmp_path, responders=told)) as app:
        labels = {"responder": "sns", "outcome": "done"}
        await until(lambda: value(app, "actions_total", **labels) >= 1, 25)
    assert simulator.kms.state_of(arn) == "Enabled"
    assert writes(simulator) == ["EnableKey"]


async def test_poison_ends_among_the_dead_and_holds_up_nobody(
    simulator: Simulator, people: Callable[[str], Person], sqs: Any, tmp_path: Path
) -> None:
    arn = await people("admin").create_key()
    # Three, five times each: fewer than the twenty after which the consumer pauses.
    poison = ["[" * 5000, json.dumps({"detail": 7}), '{"Records": 1e999}']
    async with daemon(settings_for(simulator, tmp_path)) as app:
        for body in poison:
            await sqs.send_message(QueueUrl=simulator.queue_url, MessageBody=body)
        await people("mallory").kms.disable_key(KeyId=arn)
        await until(lambda: simulator.kms.state_of(arn) == "Enabled")

        async def all_dead() -> bool:
            return (await counts(sqs, simulator.dlq_url))[0] == len(poison)

        await until(all_dead, 20)
        assert not app.consumers[0].problem()
    assert await counts(sqs, simulator.queue_url) == (0, 0)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"account": "999999999999"}, "account_not_allowed"),
        ({"region": "us-east-1"}, "region_not_allowed"),
    ],
)
async def test_a_place_that_is_not_ours_is_not_even_asked(  # noqa: PLR0917
    simulator: Simulator,
    people: Callable[[str], Person],
    sqs: Any,
    tmp_path: Path,
    change: dict[str, str],
    reason: str,
) -> None:
    arn = await people("admin").create_key()
    async with daemon(settings_for(simulator, tmp_path)) as app:
        await until(lambda: not app.readiness())
        await people("mallory").kms.disable_key(KeyId=arn)
        await until(lambda: simulator.kms.state_of(arn) == "Enabled")
        # With its evidence: then nothing more is asked about this key.
        await until(lambda: value(app, "incidents_closed_total", by="us") == 1)
        text = wrap(next(one for one in simulator.records if one["eventName"] == "DisableKey"))
        text = text.replace(ACCOUNT, change.get("account", ACCOUNT))
        text = text.replace(REGION, change.get("region", REGION)).replace(
            '"eventID": "', '"eventID": "x'
        )
        before = len(simulator.records)
        await sqs.send_message(QueueUrl=simulator.queue_url, MessageBody=text)
        await until(lambda: value(app, "decisions_total", reason=reason) == 1)
        # The daemon's own EnableKey event may still have come back; it asks for nothing.
        assert [one["eventName"] for one in simulator.records[before:]] == []


async def test_a_forged_message_writes_nothing(
    simulator: Simulator, people: Callable[[str], Person], sqs: Any, tmp_path: Path
) -> None:
    arn = await people("admin").create_key()
    forged = {
        "eventVersion": "1.11",
        "userIdentity": {"type": "Root", "arn": f"arn:aws:iam::{ACCOUNT}:root"},
        "eventTime": "2026-11-20T09:14:03Z",
        "eventSource": "kms.amazonaws.com",
        "eventName": "ScheduleKeyDeletion",
        "awsRegion": REGION,
        "eventID": "forged",
        "recipientAccountId": ACCOUNT,
        "responseElements": {"keyId": arn},
    }
    async with daemon(settings_for(simulator, tmp_path)) as app:
        await sqs.send_message(QueueUrl=simulator.queue_url, MessageBody=wrap(forged))
        labels = {"responder": "restore_key", "outcome": "already"}
        await until(lambda: value(app, "actions_total", **labels) == 1)
    assert writes(simulator) == []
    assert simulator.kms.state_of(arn) == "Enabled"


async def test_a_forged_enable_does_not_move_the_baseline(
    simulator: Simulator, people: Callable[[str], Person], sqs: Any, tmp_path: Path
) -> None:
    """The key is Disabled on purpose; an event that CloudTrail does not know enables nothing."""
    arn = await people("admin").create_key()
    await people("admin").kms.disable_key(KeyId=arn)
    record = dict(simulator.records[-1])
    record |= {"eventName": "EnableKey", "eventID": "forged", "eventTime": "2026-11-23T00:00:00Z"}
    async with daemon(settings_for(simulator, tmp_path)) as app:
        await sqs.send_message(QueueUrl=simulator.queue_url, MessageBody=wrap(record))
        labels = {"responder": "restore_key", "outcome": "unconfirmed"}
        await until(lambda: value(app, "actions_total", **labels) == 1)
    assert simulator.kms.state_of(arn) == "Disabled"


async def test_a_right_that_comes_back(
    simulator: Simulator, people: Callable[[str], Person], sqs: Any, tmp_path: Path
) -> None:
    arn = await people("admin").create_key()
    async with daemon(settings_for(simulator, tmp_path)) as app:
        simulator.set_knob("deny", ("kms-monitor:kms:EnableKey",))
        await people("mallory").kms.schedule_key_deletion(KeyId=arn)
        labels = {"responder": "restore_key", "outcome": "denied"}
        await until(lambda: value(app, "actions_total", **labels) >= 1)
        # The half that is permitted was done.
        assert simulator.kms.state_of(arn) == "Disabled"
        simulator.set_knob("deny", ())
        await until(lambda: simulator.kms.state_of(arn) == "Enabled", 25)


async def test_a_slow_and_forgetful_kms(
    simulator: Simulator, people: Callable[[str], Person], tmp_path: Path
) -> None:
    """Twenty keys at once, AWS's quotas, and readings that are two seconds old."""
    keys = [await people("admin").create_key() for _ in range(20)]
    responders = {"restore_key": {"doubt_seconds": 4}}
    async with daemon(settings_for(simulator, tmp_path, responders=responders)):
        simulator.set_knob("consistency_seconds", 2.0)
        for number, arn in enumerate(keys):
            if number % 2:
                await people("mallory").kms.disable_key(KeyId=arn)
            else:
                await people("mallory").kms.schedule_key_deletion(KeyId=arn)
        simulator.set_knob("quota_scale", 1.0)
        await until(lambda: {simulator.kms.state_of(arn) for arn in keys} == {"Enabled"}, 45)


async def test_another_account_through_its_role(simulator: Simulator, tmp_path: Path) -> None:
    """And the first account's trouble does not hold it up."""
    simulator.set_knob("external_id", "a secret of two")
    session = get_session()
    door: Any = {"region_name": REGION, "endpoint_url": simulator.endpoint_url}
    async with session.create_client(
        "sts", aws_access_key_id="mallory", aws_secret_access_key="any", **door
    ) as sts:
        answer = await sts.assume_role(
            RoleArn=f"arn:aws:iam::{OTHER}:role/ops/admin",
            RoleSessionName="mallory",
            ExternalId="a secret of two",
        )
    credentials = answer["Credentials"]
    simulator.set_knob("deny", ("kms-monitor:kms:ListKeys",))
    async with session.create_client(
        "kms",
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
        **door,
    ) as kms:
        arn = (await kms.create_key())["KeyMetadata"]["Arn"]
        assert OTHER in arn
        accounts = [
            {"id": ACCOUNT, "regions": [REGION]},
            {
                "id": OTHER,
                "regions": [REGION],
                "role_arn": f"arn:aws:iam::{OTHER}:role/kms-monitor",
                "external_id": "a secret of two",
            },
        ]
        async with daemon(settings_for(simulator, tmp_path, accounts=accounts)) as app:
            await kms.disable_key(KeyId=arn)
            await until(lambda: simulator.kms.state_of(arn) == "Enabled")
            assert "AccessDenied" in app.readiness()[f"keys of {ACCOUNT} {REGION}"]
            assert f"keys of {OTHER} {REGION}" not in app.readiness()
