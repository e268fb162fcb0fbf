"""The fixture `site`: a simulator that is open for one test."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from monitor.simulator.server import Simulator
from tests.unit.simulator.site import Site


@pytest.fixture(autouse=True, scope="session")
def _no_event_loop_by_accident() -> None:
    # pytest-asyncio asks for the current event loop before it sets its own. Up to Python 3.13
    # asking makes one, which nobody closes: a ResourceWarning in whichever test comes next.
    # Having said that there is none, asking makes none.
    asyncio.set_event_loop(None)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with AsyncExitStack() as clients, Simulator(seed=1) as sim:
        yield Site(sim, clients)
