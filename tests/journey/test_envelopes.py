"""From the attacker's call to the restored key, where the event comes through SNS.

The simulator's EventBridge rule publishes to the topic as well, and the daemon reads the queue that
is subscribed to it without raw delivery. Signatures are not verified: those of the simulated SNS
are no real ones.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiobotocore.session import get_session

from monitor.simulator.server import Simulator
from tests.journey.conftest import REGION, Person, daemon, settings_for, until


async def publish_events(simulator: Simulator) -> None:
    """Have the rule send to the topic, too."""
    async with get_session().create_client(
        "events",
        region_name=REGION,
        endpoint_url=simulator.endpoint_url,
        aws_access_key_id="admin",
        aws_secret_access_key="any",
    ) as events:
        await events.put_targets(
            Rule=simulator.rule_name, Targets=[{"Id": "topic", "Arn": simulator.topic_arn}]
        )


def through_sns(simulator: Simulator, **changes: Any) -> dict[str, Any]:
    queue = {"url": simulator.topic_queue_url, "region": REGION, "wait_seconds": 1, "name": "topic"}
    return {"queues": [queue], "verify_sns_signatures": False} | changes


async def test_disabled_key_whose_event_sns_wrapped_is_enabled_again(
    simulator: Simulator, people: Callable[[str], Person], tmp_path: Path
) -> None:
    await publish_events(simulator)
    arn = await people("admin").create_key()
    settings = settings_for(
        simulator, tmp_path, **through_sns(simulator, sns_topics=[simulator.topic_arn])
    )
    async with daemon(settings):
        await people("mallory").kms.disable_key(KeyId=arn)
        await until(lambda: simulator.kms.state_of(arn) == "Enabled")


async def test_a_topic_that_the_settings_do_not_name_is_not_believed(
    simulator: Simulator, people: Callable[[str], Person], tmp_path: Path
) -> None:
    await publish_events(simulator)
    arn = await people("admin").create_key()
    async with daemon(settings_for(simulator, tmp_path, **through_sns(simulator))) as app:
        await people("mallory").kms.disable_key(KeyId=arn)
        labels = {"source": "topic", "reason": "topic_not_allowed"}
        await until(
            lambda: app.metrics.registry.get_sample_value("kms_monitor_unreadable_total", labels)
        )
        assert simulator.kms.state_of(arn) == "Disabled"
