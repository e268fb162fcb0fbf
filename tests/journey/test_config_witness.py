"""The daemon and AWS Config: a second witness, whose word starts a repair and is told once."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from monitor.app import App
from monitor.settings import Settings
from monitor.simulator.config import words
from monitor.simulator.server import Simulator
from tests.journey.config_scene import ConfigScene, config_scene
from tests.journey.conftest import ACCOUNT, REGION, Person, daemon, settings_for, until, wrap
from tests.journey.scene import client
from tests.journey.test_incidents import Book, names, value

ITEM, COMPLIANCE = "ConfigurationItemChangeNotification", "ComplianceChangeNotification"


@pytest.fixture
async def scene(simulator: Simulator) -> AsyncIterator[ConfigScene]:
    """Config records, and EventBridge brings what it says into the daemon's queue."""
    async with config_scene(simulator) as scene, client(simulator, "events", "admin") as events:
        pattern = {
            "source": ["aws.config"],
            "detail-type": ["Config Configuration Item Change", "Config Rules Compliance Change"],
        }
        await events.put_rule(Name="config", EventPattern=json.dumps(pattern))
        await events.put_targets(
            Rule="config", Targets=[{"Id": "queue", "Arn": simulator.queue_arn}]
        )
        await scene.config.put_configuration_recorder(
            ConfigurationRecorder={"name": "default", "roleARN": "arn:aws:iam::1:role/config"}
        )
        await scene.config.put_delivery_channel(
            DeliveryChannel={"name": "default", "s3BucketName": "config-bucket"}
        )
        await scene.config.start_configuration_recorder(ConfigurationRecorderName="default")
        yield scene


def settings(simulator: Simulator, tmp_path: Path, **changes: Any) -> Settings:
    responders = {"restore_key": {"doubt_seconds": 0}, "sns": {"topic_arn": simulator.topic_arn}}
    return settings_for(simulator, tmp_path, **{"responders": responders} | changes)


async def only_config(simulator: Simulator) -> None:
    """From now on no message of CloudTrail comes."""
    async with client(simulator, "events", "admin") as events:
        await events.disable_rule(Name="kms-monitor")


async def told(simulator: Simulator, sqs: Any) -> list[dict[str, Any]]:
    """The notifications that people got since the last time, as machines read them."""
    found = []
    while messages := (
        await sqs.receive_message(
            QueueUrl=simulator.topic_queue_url,
            MaxNumberOfMessages=10,
            MessageAttributeNames=["All"],
        )
    ).get("Messages"):
        for one in messages:
            found.append(json.loads(json.loads(one["Body"])["Message"]))
            await sqs.delete_message(
                QueueUrl=simulator.topic_queue_url, ReceiptHandle=one["ReceiptHandle"]
            )
    return found


async def handled(app: App, name: str, count: int) -> None:
    """So many events of that name were judged to the end."""

    def judged() -> bool:
        seen = value(app, "events_total", source="kms-monitor", event_name=name, fate="inspected")
        return seen >= count and value(app, "deliveries_in_flight", source="kms-monitor") == 0

    await until(judged)


async def test_where_only_config_tells_of_it_the_key_is_put_back(
    scene: ConfigScene,
    simulator: Simulator,
    people: Callable[[str], Person],
    tmp_path: Path,
    sqs: Any,
) -> None:
    arn = await people("admin").create_key()
    await simulator.settle()
    await only_config(simulator)
    given = settings(simulator, tmp_path)
    book = Book(given, arn)
    with capture_logs() as lines:
        async with daemon(given) as app:
            await people("mallory").kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)
            ended = await book.until(lambda one: not one.open)
            await until(lambda: value(app, "config_findings_total", fate="repaired") == 1)
    assert simulator.kms.state_of(arn) == "Enabled"
    assert (ended.closed_by, names(ended)) == ("us", [ITEM])
    (line,) = [one for one in lines if one["event"] == "finding" and one.get("source") == "config"]
    assert (line["title"][-15:], line["severity"]) == ("PendingDeletion", "critical")
    (message,) = await told(simulator, sqs)
    assert (message["source"], message["outcome"]) == ("config", "done")
    assert message["details"]["source"] == "config"


async def test_cloudtrail_first_then_config_is_one_incident_told_once(
    scene: ConfigScene,
    simulator: Simulator,
    people: Callable[[str], Person],
    tmp_path: Path,
    sqs: Any,
) -> None:
    arn = await people("admin").create_key()
    await simulator.settle()
    simulator.set_knob("config_delay_seconds", 0.0)
    given = settings(simulator, tmp_path)
    book = Book(given, arn)
    # Config's word waits until CloudTrail's was seen to the end.
    queue_rule = client(simulator, "events", "admin")
    async with queue_rule as events:
        await events.disable_rule(Name="config")
        async with daemon(given) as app:
            await people("mallory").kms.disable_key(KeyId=arn)
            first = await book.until(lambda one: not one.open)
            await simulator.settle()
            history = simulator.config.recording.history[arn]
            disabled = next(one for one in history if "Disabled" in str(one.configuration))
            await send(simulator, item_event(simulator, disabled, history[0]))
            await handled(app, ITEM, 1)
            await until(lambda: value(app, "config_findings_total", fate="known") == 1)
            last = await book.last()
            assert value(app, "incidents_opened_total") == 1
    assert last is not None
    assert (last.id, last.open) == (first.id, False)
    assert [one["event"]["name"] for one in await told(simulator, sqs)] == ["DisableKey"]


async def test_config_first_then_cloudtrail_is_one_incident(
    scene: ConfigScene,
    simulator: Simulator,
    people: Callable[[str], Person],
    tmp_path: Path,
    sqs: Any,
) -> None:
    arn = await people("admin").create_key()
    await simulator.settle()
    await only_config(simulator)
    given = settings(simulator, tmp_path)
    book = Book(given, arn)
    async with daemon(given) as app:
        await people("mallory").kms.disable_key(KeyId=arn)
        first = await book.until(lambda one: not one.open)
        record = next(one for one in simulator.records if one["eventName"] == "DisableKey")
        await send(simulator, json.loads(wrap(record)))
        await handled(app, "DisableKey", 1)
        last = await book.until(lambda one: one.count == 2)
        assert value(app, "incidents_opened_total") == 1
    assert (last.id, last.open, last.closed_by) == (first.id, False, "us")
    assert set(names(last)) == {ITEM, "DisableKey"}
    # Who did it only CloudTrail says: that is told, too.
    assert [one["event"]["name"] for one in await told(simulator, sqs)] == [ITEM, "DisableKey"]


async def test_both_at_once_are_one_incident(
    scene: ConfigScene,
    simulator: Simulator,
    people: Callable[[str], Person],
    tmp_path: Path,
    sqs: Any,
) -> None:
    arn = await people("admin").create_key()
    await simulator.settle()
    given = settings(simulator, tmp_path)
    book = Book(given, arn)
    async with daemon(given) as app:
        await people("mallory").kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)
        await handled(app, ITEM, 1)
        await handled(app, "ScheduleKeyDeletion", 1)
        await book.until(lambda one: not one.open and one.count == 2)
        assert value(app, "incidents_opened_total") == 1
    assert simulator.kms.state_of(arn) == "Enabled"
    # Whoever came second wrote nothing; only who did it is news.
    told_names = [one["event"]["name"] for one in await told(simulator, sqs)]
    assert told_names in (["ScheduleKeyDeletion"], [ITEM, "ScheduleKeyDeletion"])


async def test_an_old_item_writes_nothing_and_nobody_hears_of_it(
    scene: ConfigScene,
    simulator: Simulator,
    people: Callable[[str], Person],
    tmp_path: Path,
    sqs: Any,
) -> None:
    arn = await people("admin").create_key()
    await only_config(simulator)
    await people("admin").kms.disable_key(KeyId=arn)
    await simulator.settle()
    await people("admin").kms.enable_key(KeyId=arn)
    await simulator.settle()
    await sqs.purge_queue(QueueUrl=simulator.queue_url)
    given = settings(simulator, tmp_path)
    book = Book(given, arn)
    async with daemon(given) as app:
        history = simulator.config.recording.history[arn]
        await send(simulator, item_event(simulator, history[1], history[0]))
        await until(lambda: value(app, "config_findings_total", fate="known") == 1)
        assert await book.last() is None
    assert await told(simulator, sqs) == []
    calls = [
        one["eventName"] for one in simulator.records if "kms-monitor" in str(one["userIdentity"])
    ]
    assert "EnableKey" not in calls


async def test_keys_that_were_disabled_before_config_looked_stay_so(
    scene: ConfigScene, simulator: Simulator, people: Callable[[str], Person], tmp_path: Path
) -> None:
    await only_config(simulator)
    arn = await people("admin").create_key()
    await people("admin").kms.disable_key(KeyId=arn)
    await simulator.settle()
    await scene.config.stop_configuration_recorder(ConfigurationRecorderName="default")
    simulator.config.recording.history.clear()
    async with daemon(settings(simulator, tmp_path)) as app:
        await scene.config.start_configuration_recorder(ConfigurationRecorderName="default")
        await simulator.settle()
        await handled(app, ITEM, 1)
        await asyncio.sleep(0.2)
    assert simulator.kms.state_of(arn) == "Disabled"


async def test_a_verdict_is_told_once_and_not_while_people_know(
    scene: ConfigScene,
    simulator: Simulator,
    people: Callable[[str], Person],
    tmp_path: Path,
    sqs: Any,
) -> None:
    await people("admin").create_key()
    await simulator.settle()
    await scene.put_rule(rotationOff="true")
    given = settings(simulator, tmp_path, mode="observe")
    async with daemon(given) as app:
        await handled(app, COMPLIANCE, 1)
        (message,) = await told(simulator, sqs)
        assert (message["detector"], message["severity"]) == ("config_compliance", "medium")
        assert message["details"]["annotation"] == "its automatic rotation is off"
        other = await people("admin").create_key()
        await people("admin").kms.enable_key_rotation(KeyId=other)
        await simulator.settle()
        seen = value(
            app, "events_total", source="kms-monitor", event_name=COMPLIANCE, fate="inspected"
        )
        await told(simulator, sqs)
        simulator.set_knob("config_delay_seconds", 0.5)
        await people("mallory").kms.disable_key(KeyId=other)
        await Book(given, other).until(lambda one: one.open)
        await simulator.settle()
        await handled(app, COMPLIANCE, int(seen) + 1)
        await until(lambda: value(app, "config_findings_total", fate="known") >= 2)
    names_told = [one["event"]["name"] for one in await told(simulator, sqs)]
    assert [one for one in names_told if one != "EnableKeyRotation"] == ["DisableKey"]


async def test_what_may_be_approved_is_left_to_who_knows_the_caller(
    scene: ConfigScene, simulator: Simulator, people: Callable[[str], Person], tmp_path: Path
) -> None:
    arn = await people("admin").create_key()
    await simulator.settle()
    await only_config(simulator)
    window = {
        "name": "always",
        "cron": "* * * * *",
        "time_zone": "UTC",
        "minutes": 60,
        "actors": [f"arn:aws:iam::{ACCOUNT}:user/mallory"],
    }
    given = settings(simulator, tmp_path, maintenance=[window])
    with capture_logs() as lines:
        async with daemon(given):
            await people("mallory").kms.disable_key(KeyId=arn)
            await until(
                lambda: any(one["event"] == "left to CloudTrail and the sweep" for one in lines)
            )
            await asyncio.sleep(0.2)
    assert simulator.kms.state_of(arn) == "Disabled"


def item_event(simulator: Simulator, item: Any, before: Any) -> dict[str, Any]:
    """An item as EventBridge brings it."""
    detail = words.item_message(item, before, item.captured_at + 1, oversized="")
    return words.bridge_event(
        "Config Configuration Item Change",
        (ACCOUNT, REGION),
        detail,
        name="33333333-cccc-4ccc-8ccc-000000000005",
        resources=[item.arn],
    )


async def send(simulator: Simulator, event: dict[str, Any]) -> None:
    async with client(simulator, "sqs", "admin") as sqs:
        await sqs.send_message(QueueUrl=simulator.queue_url, MessageBody=json.dumps(event))
