"""The function on the simulator, called by what calls functions."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from monitor.simulator.functions import FunctionError
from monitor.simulator.server import Simulator
from tests.journey.conftest import Person, until
from tests.journey.functions import deployed, told


async def test_a_disabled_key_is_enabled_again_and_people_are_told(
    simulator: Simulator, people: Callable[[str], Person], sqs: Any
) -> None:
    async with deployed(simulator) as function:
        arn = await people("admin").create_key()
        await people("mallory").kms.disable_key(KeyId=arn)
        await until(lambda: function.calls, 20)
        assert await people("admin").state(arn) == "Enabled"
        assert [call.error for call in function.calls] == [""]
        (one,) = await told(simulator, sqs)
        assert one["key"]["arn"] == arn


SWEEP = {"kms-monitor": "sweep"}


async def test_a_sweep_puts_back_what_no_event_told_of(
    simulator: Simulator, people: Callable[[str], Person]
) -> None:
    """By two containers, each of which looks once: what is in doubt is remembered between them."""
    changes: dict[str, Any] = {"sweep": {"grace_minutes": 0.02}, "watched": {}}
    async with deployed(simulator, containers=2, **changes) as function:
        arn = await people("admin").create_key()
        assert (await function.invoke(SWEEP))["keys"] == 1
        function.permitted.clear()  # from now on no event comes through
        await people("mallory").kms.disable_key(KeyId=arn)
        await function.invoke(SWEEP)
        assert await people("admin").state(arn) == "Disabled"
        await asyncio.sleep(1.3)
        await function.invoke({"detail-type": "Scheduled Event", "source": "aws.events"})
        assert await people("admin").state(arn) == "Enabled"
        assert await function.invoke(SWEEP) == {"keys": 1}


async def test_a_sweep_that_cannot_look_everywhere_fails(
    simulator: Simulator, people: Callable[[str], Person]
) -> None:
    async with deployed(simulator) as function:
        await people("admin").create_key()
        simulator.set_knob("deny", ("kms-monitor:kms:ListKeys",))
        with pytest.raises(FunctionError, match="ListKeys"):
            await function.invoke(SWEEP)
