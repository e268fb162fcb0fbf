"""What ends is told once at every threshold, however often the sweep sees it."""

from hypothesis import given
from hypothesis import strategies as st

from monitor.detectors.sweep_findings import DeadlineOptions, DeletionDeadlineNear
from monitor.knowledge import Knowledge
from monitor.own_event import own_event
from tests.samples import ACCOUNT, ARN, EPOCH, REGION

HOUR = 3600.0
END = EPOCH + 30 * 24 * HOUR


def seen(detector: DeletionDeadlineNear, left: float) -> list[str]:
    """The occasions that are told when a look sees so many hours left."""
    about = {"keyId": ARN, "state": "PendingDeletion", "expected": "Enabled", "deletionDate": END}
    event = own_event("KeySeenEnding", (ACCOUNT, REGION), END - left * HOUR, about, same=(left,))
    found, again = list(detector.inspect(event)), list(detector.inspect(event))
    assert found == again
    return [one.occasion for one in found]


@given(st.lists(st.integers(0, 100), min_size=1, max_size=40, unique=True))
def test_each_threshold_is_told_once_and_none_twice(looks: list[int]) -> None:
    knowledge = Knowledge()
    detector = DeletionDeadlineNear(DeadlineOptions(), knowledge)
    looks.sort(reverse=True)
    told = [occasion for left in looks for occasion in seen(detector, left)]
    levels = {sum(left <= hours for hours in (72, 24, 6, 1)) for left in looks} - {0}
    assert told == [f"{END:.0f} {level}" for level in sorted(levels)]
    # What is not told is not remembered either, or a pending key would fill the store.
    window = knowledge.windows.of("deletion_deadline_near", f"{ARN}|{END:.0f}")
    assert len(window.entries) == len(told)
