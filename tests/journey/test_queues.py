"""Several queues at once: each with its own trouble, none in the way of another."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from monitor.app import App
from monitor.simulator.server import Simulator
from tests.journey.conftest import REGION, Person, daemon, settings_for, until, wrap


def queue(url: str, **more: Any) -> dict[str, Any]:
    return {"url": url, "region": REGION, "wait_seconds": 1, **more}


def value(app: App, name: str, **labels: str) -> float:
    return app.metrics.registry.get_sample_value(f"kms_monitor_{name}", labels) or 0.0


async def test_a_missing_queue_is_reported_while_the_other_goes_on(
    simulator: Simulator, people: Callable[[str], Person], sqs: Any, tmp_path: Path
) -> None:
    missing = simulator.queue_url.removesuffix("kms-monitor") + "to-come"
    settings = settings_for(
        simulator, tmp_path, queues=[queue(simulator.queue_url), queue(missing)]
    )
    arn = await people("admin").create_key()
    async with daemon(settings) as app:
        await people("mallory").kms.disable_key(KeyId=arn)
        await until(lambda: simulator.kms.state_of(arn) == "Enabled")
        await until(lambda: "queue kms-monitor" not in app.readiness())
        await until(lambda: "does not exist" in app.readiness()["queue to-come"])
        assert value(app, "source_up", source="kms-monitor") == 1
        assert value(app, "source_up", source="to-come") == 0
        await sqs.create_queue(QueueName="to-come")
        await until(lambda: not app.readiness())


async def test_an_event_by_two_roads_is_acted_on_once(
    simulator: Simulator, people: Callable[[str], Person], sqs: Any, tmp_path: Path
) -> None:
    other = (await sqs.create_queue(QueueName="other"))["QueueUrl"]
    settings = settings_for(
        simulator,
        tmp_path,
        queues=[queue(simulator.queue_url), queue(other)],
        responders={"restore_key": {"doubt_seconds": 0}, "sns": {"topic_arn": simulator.topic_arn}},
    )
    arn = await people("admin").create_key()
    async with daemon(settings) as app:
        await people("mallory").kms.disable_key(KeyId=arn)
        await until(lambda: value(app, "actions_total", responder="sns", outcome="done") == 1)
        (record,) = [one for one in simulator.records if one["eventName"] == "DisableKey"]
        # Of a call across accounts each account has a record of its own.
        mine = record | {"eventID": "mine", "sharedEventID": "of both"}
        theirs = record | {"eventID": "theirs", "sharedEventID": "of both"}
        for one in (record, record, mine, theirs):
            await sqs.send_message(QueueUrl=other, MessageBody=wrap(one))
        labels = {"source": "other", "event_name": "DisableKey", "fate": "duplicate"}
        await until(lambda: value(app, "events_total", **labels) >= 3)
        assert value(app, "actions_total", responder="restore_key", outcome="done") == 1


async def test_only_named_senders_are_believed(
    simulator: Simulator, people: Callable[[str], Person], tmp_path: Path
) -> None:
    settings = settings_for(
        simulator, tmp_path, queues=[queue(simulator.queue_url, senders=["AIDASOMEBODYELSE"])]
    )
    arn = await people("admin").create_key()
    async with daemon(settings) as app:
        await people("mallory").kms.disable_key(KeyId=arn)
        await until(
            lambda: (
                value(app, "unreadable_total", source="kms-monitor", reason="sender_not_allowed")
                >= 1
            )
        )
        assert simulator.kms.state_of(arn) == "Disabled"


async def test_as_many_pollers_as_there_is_work(
    simulator: Simulator, sqs: Any, tmp_path: Path
) -> None:
    boring = wrap(
        {
            "eventID": "1",
            "eventName": "Decrypt",
            "eventSource": "kms.amazonaws.com",
            "eventTime": "2026-11-20T09:14:03Z",
            "recipientAccountId": "111122223333",
            "awsRegion": REGION,
        }
    )
    for start in range(0, 400, 10):
        await sqs.send_message_batch(
            QueueUrl=simulator.queue_url,
            Entries=[{"Id": str(start + n), "MessageBody": boring} for n in range(10)],
        )
    most = 0
    async with daemon(settings_for(simulator, tmp_path)) as app:
        (source,) = app.sources

        def done() -> bool:
            nonlocal most
            most = max(most, source.polling)
            labels = {"source": "kms-monitor", "disposition": "done"}
            return value(app, "deliveries_total", **labels) == 400

        await until(done)
        assert most > 1
        await until(lambda: source.polling == 1)


async def test_messages_in_flight_are_given_back(
    simulator: Simulator, people: Callable[[str], Person], sqs: Any, tmp_path: Path
) -> None:
    """A key that cannot be read holds the delivery; a stop makes it visible at once."""
    settings = settings_for(simulator, tmp_path, grace_seconds=1)
    arn = await people("admin").create_key()
    async with daemon(settings) as app:
        simulator.set_knob("deny", ("kms-monitor:kms:EnableKey",))
        await people("mallory").kms.disable_key(KeyId=arn)
        labels = {"responder": "restore_key", "outcome": "denied"}
        await until(lambda: value(app, "actions_total", **labels) == 1)
        simulator.set_knob("deny", ())
    await asyncio.sleep(0)
    # It is to be retried: hidden for ten seconds, not deleted.
    attributes = await sqs.get_queue_attributes(
        QueueUrl=simulator.queue_url, AttributeNames=["All"]
    )
    assert int(attributes["Attributes"]["ApproximateNumberOfMessagesNotVisible"]) == 1
    assert json.loads(attributes["Attributes"]["RedrivePolicy"])["maxReceiveCount"] == 5
