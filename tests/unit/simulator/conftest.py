"""The fixture `site`: a simulator that is open for one test."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from monitor.simulator.server import Simulator
from tests.unit.simulator.site import Site


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with AsyncExitStack() as clients, Simulator(seed=1) as sim:
        yield Site(sim, clients)
