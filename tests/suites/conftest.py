"""What the suites share."""

from collections.abc import Iterator

import pytest

from tests.tables import simulator_beside


@pytest.fixture(scope="module")
def endpoint_url() -> Iterator[str]:
    """Of a simulator that the tests of one module share: two cannot be open in one process."""
    with simulator_beside() as url:
        yield url
