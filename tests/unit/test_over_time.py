"""Whatever the order of arrival and however often they come, events mean the same together."""

import random
from typing import Any

import pytest

from monitor.detection import Detection
from monitor.windows import Windows
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
ORDERS = 12


def learns(case: Case) -> bool:
    """What is usual is learned in the order of arrival, and nobody is told again about before."""
    return case.detector in LEARNERS and case.given.get("options", {}).get("learning_days") != 0


def ids(detection: Detection, records: list[dict[str, Any]]) -> list[str]:
    return [found.finding_id for one in records for found in show(detection, one)]


def orders(case: Case) -> list[list[dict[str, Any]]]:
    """Some orders of the records, half of which come twice."""
    dice, records = random.Random(case.name), case.records()
    found = []
    for _ in range(ORDERS if len(records) < 50 else 2):
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


def entries_of(windows: Windows) -> list[Any]:
    return [
        entry
        for by_subject in windows.by_detector.values()
        for window in by_subject.values()
        for entry in window.entries
    ]


def test_the_cases_are_of_every_detector_over_time() -> None:
    assert {one.detector for one in CASES} == OVER_TIME
