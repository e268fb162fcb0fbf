"""The function on the simulator, called by what calls functions."""

from collections.abc import Callable
from typing import Any

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
