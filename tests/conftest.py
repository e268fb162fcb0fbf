"""What all tests share."""

import asyncio
import gc
import os
from functools import cache

import botocore.session
import pytest
from hypothesis import settings

# derandomize keeps a merge from failing by luck; `night` does the searching.
# No deadline: a machine that does something else for half a second is no fault of the code's, and pytest
# bounds every test.
settings.register_profile("dev", max_examples=50, deadline=None)
settings.register_profile("ci", max_examples=200, derandomize=True, deadline=None, print_blob=True)
settings.register_profile("night", max_examples=20_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


# What AWS's services look like is read from megabytes of files; by each session anew, unless all have one
# loader. Tests make hundreds of sessions, a daemon makes one.
botocore.session.create_loader = cache(botocore.session.create_loader)


def pytest_collection_finish() -> None:
    # Thousands of tests and all that they import are there to stay: no garbage collection need look at
    # them again, neither Python's own nor those that tests ask for.
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def _no_event_loop_by_accident() -> None:
    # pytest-asyncio asks for the current event loop before it sets its own. Up to Python 3.13
    # asking makes one, which nobody closes: a ResourceWarning in whichever test comes next.
    # Having said that there is none, asking makes none.
    asyncio.set_event_loop(None)
