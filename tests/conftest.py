"""What all tests share."""

import asyncio
import os

import pytest
from hypothesis import settings

# derandomize keeps a merge from failing by luck; `night` does the searching.
# No deadline: a machine that does something else for half a second is no fault of the code's, and pytest
# bounds every test.
settings.register_profile("dev", max_examples=50, deadline=None)
settings.register_profile("ci", max_examples=200, derandomize=True, deadline=None, print_blob=True)
settings.register_profile("night", max_examples=20_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


@pytest.fixture(autouse=True, scope="session")
def _no_event_loop_by_accident() -> None:
    # pytest-asyncio asks for the current event loop before it sets its own. Up to Python 3.13
    # asking makes one, which nobody closes: a ResourceWarning in whichever test comes next.
    # Having said that there is none, asking makes none.
    asyncio.set_event_loop(None)
