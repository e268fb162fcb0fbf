"""How severe it is by whose it is."""

from monitor.finding import Severity
from monitor.whose import graded, lowered


def test_severities() -> None:
    high, low = Severity.HIGH, Severity.LOW
    assert [graded(ours, high, low) for ours in (True, None, False)] == [high, low, None]
    assert [lowered(high, ours) for ours in (True, None)] == [high, low]
