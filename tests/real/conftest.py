"""The simulator and its people, as the journey tests have them, and the zip for AWS Lambda, built once."""

from pathlib import Path

import pytest

from tests.journey.conftest import people, simulator
from tests.real.lambda_zip import built

__all__ = ["lambda_zip", "people", "simulator"]


@pytest.fixture(scope="session")
def lambda_zip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("zip"))
