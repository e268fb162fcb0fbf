"""Whatever the order of arrival and however often they come, events mean the same together."""

import random
from typing import Any

import pytest

from monitor.detection import Detection
from monitor.detectors.key_broken_again import repeats
from monitor.windows import Entry, Windows
from tests.catalogue import Case, cases, show

OVER_TIME = {
    "blinding_then_damage",
    "deletion_after_preparation",
    "denied_then_success",
    "key_broken_again",
    "many_keys",
    "new_administrator",
    "new_key_user",
    "unusable_key_used",
}
LEARNERS = {"new_administrator", "new_key_user"}
CASES = tuple(one for one in cases("fires") if one.detector in OVER_TIME)
ORDERS = 6


def learns(case: Case) -> bool:
    """What is usual is learned in the order of arrival, and nobody is told again about before."""
    return case.detector in LEARNERS and case.given.get("options", {}).get("learning_days") != 0


def ids(detection: Detection, records: list[dict[str, Any]]) -> list[str]:
    return [found.finding_id for one in records for found in show(detection, one)]


def orders(case: Case) -> list[list[dict[str, Any]]]:
    """Some orders of the records, half of which come twice."""
    dice, records = random.Random(case.name), case.records()
    found = []
    for _ in range(ORDERS if len(records) < 50 else 1):
        arriving = records + dice.sample(records, (len(records) + 1) // 2)
        dice.shuffle(arriving)
        found.append(arriving)
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_in_any_order_it_fires_and_redelivered_it_says_nothing_new(case: Case) -> None:
    for arriving in orders(case):
        detection = case.detection()
        told = ids(detection, arriving)
        assert told or learns(case)
        assert set(ids(detection, arriving)) == set(told)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_after_a_restart_at_any_moment_it_is_the_same(case: Case) -> None:
    """The daemon dies after it wrote what it noted; the records come again from the beginning."""
    for arriving in orders(case):
        steady = case.detection()
        told = ids(steady, arriving)
        cut = len(arriving) // 2
        first = case.detection()
        before = ids(first, arriving[:cut])
        second = case.detection()
        second.knowledge.windows.learn(first.knowledge.windows.take_changed())
        after = ids(second, arriving[cut:])
        # Told before, told after, or both where the event that was told came twice.
        assert set(before + after) == set(told)
        third = case.detection()
        for one in (first, second):
            third.knowledge.windows.learn(one.knowledge.windows.take_changed())
            third.knowledge.windows.learn(entries_of(one.knowledge.windows))
        assert set(ids(third, arriving)) == set(told)


def entries_of(windows: Windows) -> list[Entry]:
    return [
        entry
        for by_subject in windows.by_detector.values()
        for window in by_subject.values()
        for entry in window.entries
    ]


def test_what_does_not_belong_to_it_does_not_tell_it_again() -> None:
    """The deletion arrived first, and the preparation told of it; a policy changes on the next day."""
    case = next(one for one in CASES if one.name.endswith("fires/preparation_arrives_late"))
    deletion, preparation = case.records()
    detection = case.detection()
    deletion["eventTime"] = "2026-11-21T08:00:00Z"
    assert len(ids(detection, [deletion, preparation])) == 1
    policy = preparation | {"eventName": "PutKeyPolicy", "eventID": "new"}
    assert ids(detection, [policy | {"eventTime": "2026-11-22T01:00:00Z"}]) == []


BROKEN, BACK = "DisableKey", "EnableKey"


@pytest.mark.parametrize(
    ("steps", "times"),
    [
        ([], 0),
        ([(1, BROKEN), (2, BROKEN), (3, BACK), (4, BACK)], 0),
        ([(1, BACK), (2, BROKEN)], 0),
        ([(1, BROKEN), (2, BACK), (3, BROKEN), (4, BROKEN)], 1),
        ([(1, BROKEN), (2, BACK), (3, BACK), (4, BROKEN), (5, BACK), (6, BROKEN)], 2),
        ([(1, BACK), (1, BROKEN), (2, BROKEN)], 1),
        ([(1, BACK), (1, BROKEN), (2, BACK)], 0),
        ([(1, BROKEN), (2, BACK), (2, BROKEN)], 1),
        ([(1, BROKEN), (1, BROKEN), (1, BACK), (1, BACK)], 0),
    ],
)
def test_a_repeat_is_counted_once_for_each_time_it_was_put_back(
    steps: list[tuple[int, str]], times: int
) -> None:
    assert repeats(Entry(at, str(number), what) for number, (at, what) in enumerate(steps)) == times


def test_the_cases_are_of_every_detector_over_time() -> None:
    assert {one.detector for one in CASES} == OVER_TIME
