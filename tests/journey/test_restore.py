"""From the attacker's call to the restored key."""

from collections.abc import Callable
from pathlib import Path

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
