"""The simulator and its people, as the journey tests have them."""

from tests.journey.conftest import people, simulator

__all__ = ["people", "simulator"]
