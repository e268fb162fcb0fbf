"""From the attacker's call to the restored key."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from monitor.simulator.server import Simulator
from tests.journey.conftest import Person, daemon, settings_for, until


async def test_disabled_key_is_enabled_again(
    simulator: Simulator, people: Callable[[str], Person], tmp_path: Path
) -> None:
    arn = await people("admin").create_key()
    async with daemon(settings_for(simulator, tmp_path)) as app:
        await people("mallory").kms.disable_key(KeyId=arn)
        await until(lambda: simulator.kms.state_of(arn) == "Enabled")
        await until(
            lambda: (
                app.metrics.registry.get_sample_value(
                    "kms_monitor_actions_total", {"responder": "restore_key", "outcome": "done"}
                )
                == 1
            )
        )


async def test_scheduled_key_is_cancelled_and_enabled(
    simulator: Simulator, people: Callable[[str], Person], tmp_path: Path
) -> None:
    arn = await people("admin").create_key()
    async with daemon(settings_for(simulator, tmp_path)):
        await people("mallory").kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)
        await until(lambda: simulator.kms.state_of(arn) == "Enabled")


async def test_key_disabled_on_purpose_ends_disabled(
    simulator: Simulator, people: Callable[[str], Person], tmp_path: Path
) -> None:
    arn = await people("admin").create_key()
    await people("admin").kms.disable_key(KeyId=arn)
    async with daemon(settings_for(simulator, tmp_path)):
        await people("mallory").kms.schedule_key_deletion(KeyId=arn)
        await until(lambda: simulator.kms.state_of(arn) == "Disabled")


async def test_a_policy_that_holds_data_hostage_is_put_back(
    simulator: Simulator, people: Callable[[str], Person], tmp_path: Path
) -> None:
    """Everybody but one is denied the use of the key, under a condition that seems like a hardening."""
    admin, mallory = people("admin"), people("mallory")
    arn = await admin.create_key()
    before = (await admin.kms.get_key_policy(KeyId=arn, PolicyName="default"))["Policy"]
    document = json.loads(before)
    denial = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
        "Resource": "*",
        "Condition": {"StringNotEquals": {"aws:SourceVpc": "vpc-0f00"}},
    }
    hostage = json.dumps(document | {"Statement": [*document["Statement"], denial]})
    async with daemon(settings_for(simulator, tmp_path)) as app:
        journey: Any = app.consumers[0].journey
        keys = journey.detection.knowledge.keys
        await until(lambda: any(one.policy is not None for one in keys.values()))
        await mallory.kms.put_key_policy(KeyId=arn, PolicyName="default", Policy=hostage)
        sample = app.metrics.registry.get_sample_value
        put = {"call": "PutKeyPolicy"}
        await until(lambda: sample("kms_monitor_repair_calls_total", put) == 1)
        after = (await admin.kms.get_key_policy(KeyId=arn, PolicyName="default"))["Policy"]
        assert json.loads(after) == document
