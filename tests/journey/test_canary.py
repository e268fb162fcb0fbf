"""The whole way is proved by a call of our own, and its loss is told, once for each outage."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from monitor.simulator.server import Simulator
from tests.journey.conftest import ACCOUNT, REGION, Person, daemon, settings_for, until
from tests.journey.test_sweep import blind, value

PLACE = {"account": ACCOUNT, "region": REGION}


@pytest.mark.parametrize("detectors", [{}, {"key_enabled": False}])
async def test_canaries_come_back_get_lost_and_come_back(
    simulator: Simulator,
    people: Callable[[str], Person],
    tmp_path: Path,
    detectors: dict[str, bool],
) -> None:
    arn = await people("admin").create_key()
    canary = {"keys": [arn], "every_seconds": 1, "late_seconds": 2}
    settings = settings_for(simulator, tmp_path, canary=canary, detectors=detectors)
    async with daemon(settings) as app:

        def found(severity: str) -> float:
            return value(app, "findings_total", detector="canary_lost", severity=severity)

        await until(lambda: value(app, "last_canary_timestamp_seconds", **PLACE) > 0)
        assert f"canary {arn}" not in app.readiness()
        blind(simulator)
        await until(lambda: found("critical") == 1)
        assert "no canary has come back" in app.readiness()[f"canary {arn}"]
        blind(simulator, "EnableRule")
        await until(lambda: found("info") == 1)
        assert f"canary {arn}" not in app.readiness()
        assert found("critical") == 1
        assert value(app, "canary_seconds_count") > 0
        # Our own call is nothing to tell people about.
        assert value(app, "decisions_total", reason="accepted_change") == 0


async def test_a_canary_that_cannot_set_out_says_why(
    simulator: Simulator, people: Callable[[str], Person], tmp_path: Path
) -> None:
    arn = await people("admin").create_key()
    simulator.set_knob("deny", ("kms-monitor:kms:EnableKey",))
    canary = {"keys": [arn], "every_seconds": 1, "late_seconds": 1}
    async with daemon(settings_for(simulator, tmp_path, canary=canary)) as app:
        lost = {"detector": "canary_lost", "severity": "critical"}
        await until(lambda: value(app, "findings_total", **lost) == 1)


def test_a_canary_stands_where_keys_are_guarded(simulator: Simulator, tmp_path: Path) -> None:
    canary = {"keys": ["arn:aws:kms:us-east-1:999999999999:key/1"]}
    with pytest.raises(ValidationError, match=r"canary\.keys: arn:aws:kms:us-east-1"):
        settings_for(simulator, tmp_path, canary=canary)


async def test_a_place_gone_quiet_is_told(simulator: Simulator, tmp_path: Path) -> None:
    async with daemon(settings_for(simulator, tmp_path, silence_minutes=0.005)) as app:

        def found(severity: str) -> float:
            return value(app, "findings_total", detector="place_silent", severity=severity)

        await until(lambda: found("medium") == 1)
        await until(lambda: found("high") == 1)
