"""A batch is worked through: what is done, what is given back, and in which order."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.books import Books
from monitor.delivery import Delivery, Disposition
from monitor.metrics import Metrics
from monitor.serverless.time_left import TimeLeft
from monitor.serverless.triggers import Batch, Item, Trigger, recognise
from monitor.serverless.working import Working
from monitor.shapes import Damage
from tests import triggers
from tests.unit.fake_sqs import LoopClock

DONE, RETRY, REJECT = Disposition.DONE, Disposition.RETRY, Disposition.REJECT
BY_BODY = {"done": DONE, "retry": RETRY, "reject": REJECT}


class Journey:
    """What becomes of a delivery stands in its body; it takes a second, or as long as `seconds` says."""

    def __init__(self, seconds: float = 1) -> None:
        self.seconds = seconds
        self.began: list[str] = []
        self.cancelled: list[str] = []

    async def process(self, delivery: Delivery, make_room: Callable[[], None]) -> Disposition:
        make_room()
        self.began.append(delivery.delivery_id)
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.cancelled.append(delivery.delivery_id)
            raise
        if delivery.body == "defect":
            raise ZeroDivisionError
        return BY_BODY[str(delivery.body)]


class Context:
    aws_request_id = invoked_function_arn = ""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def get_remaining_time_in_millis(self) -> int:
        return int(self.seconds * 1000)


async def work(
    batch: Batch,
    journey: Journey,
    seconds: float = 60,
    metrics: Metrics | None = None,
    **time: Any,
) -> list[Disposition]:
    clock = LoopClock()
    metrics = metrics or Metrics()
    left = TimeLeft(clock, Context(seconds), **{"margin": 2, "enough": 5} | time)
    working = Working(batch, journey, books=Books(metrics), clock=clock, metrics=metrics, time=left)
    return [one.disposition for one in await working.results()]


def batch(event: object) -> Batch:
    found = recognise(event, 0.0)
    assert isinstance(found, Batch)
    return found


@pytest.mark.looptime
async def test_all_at_once_each_by_itself() -> None:
    journey = Journey()
    event = triggers.sqs("done", "retry", "reject", "defect", "done")
    assert await work(batch(event), journey) == [DONE, RETRY, REJECT, RETRY, DONE]
    assert asyncio.get_running_loop().time() == 1


@pytest.mark.looptime
async def test_the_rest_of_a_group_is_given_back_in_order() -> None:
    journey = Journey()
    event = triggers.sqs("done", "retry", "done", group="a")
    event["Records"] += triggers.sqs("reject", "done", group="b")["Records"]
    for number, one in enumerate(event["Records"]):
        one["messageId"] = str(number)
    assert await work(batch(event), journey) == [DONE, RETRY, RETRY, REJECT, RETRY]
    # Nothing of a group was begun after the first that is to come again.
    assert sorted(journey.began) == ["0", "1", "3"]


@pytest.mark.looptime
async def test_nothing_is_begun_that_there_is_no_time_for() -> None:
    journey = Journey(seconds=3)
    # Of 12 s, 2 are kept and 5 are needed to begin: the first group begins at 0 s and at 3 s.
    event = triggers.sqs("done", "done", "done", group="a")
    assert await work(batch(event), journey, seconds=12) == [DONE, DONE, RETRY]
    assert journey.cancelled == []


@pytest.mark.looptime
async def test_what_is_not_done_in_time_is_ended_and_given_back() -> None:
    journey = Journey(seconds=100)
    assert await work(batch(triggers.sqs("done", "done")), journey, seconds=10) == [RETRY, RETRY]
    assert len(journey.cancelled) == 2
    assert asyncio.get_running_loop().time() == 8


@pytest.mark.looptime
async def test_without_any_time_all_is_given_back() -> None:
    journey = Journey()
    assert await work(batch(triggers.sqs("done")), journey, seconds=1) == [RETRY]
    assert journey.began == []


@pytest.mark.looptime
async def test_many_wait_for_one_another() -> None:
    journey = Journey()
    assert await work(batch(triggers.sqs(*["done"] * 50)), journey) == [DONE] * 50
    assert asyncio.get_running_loop().time() == 3  # 20 at a time


@pytest.mark.looptime
async def test_what_is_damaged_is_rejected_without_a_look() -> None:
    journey = Journey()
    item = Item((Delivery("d", "", "logs", 0.0),), damage=Damage("bomb", "too large"))
    assert await work(Batch(Trigger.LOGS, (item,)), journey) == [REJECT]
    assert journey.began == []


@pytest.mark.looptime
async def test_an_item_with_nothing_in_it_is_done() -> None:
    assert await work(Batch(Trigger.KINESIS, (Item((), "1"),)), Journey()) == [DONE]
    assert await work(Batch(Trigger.LOGS, ()), Journey()) == []


@pytest.mark.looptime
async def test_what_came_and_how_late_is_measured() -> None:
    metrics = Metrics()
    event = triggers.sqs("done", "retry")
    event["Records"][0]["attributes"]["SentTimestamp"] = "1795166043000"
    found = recognise(event, 1_795_166_048.0)
    assert isinstance(found, Batch)
    await work(found, Journey(), metrics=metrics)
    value = metrics.registry.get_sample_value
    assert value("kms_monitor_messages_received_total", {"source": "sqs"}) == 2
    assert value("kms_monitor_message_age_seconds_sum", {"source": "sqs"}) == 10
    done = {"source": "sqs", "disposition": "done"}
    assert value("kms_monitor_deliveries_total", done) == 1


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["", "a", "b"]), st.sampled_from(sorted(BY_BODY))),
        max_size=8,
    ),
    st.floats(0, 20),
)
def test_every_item_is_either_done_or_not(given_: list[tuple[str, str]], seconds: float) -> None:
    """And none of a group is done after one of it that is not."""
    items = tuple(
        Item((Delivery(str(number), body, "sqs", 0.0),), str(number), group)
        for number, (group, body) in enumerate(given_)
    )
    journey = Journey(0)
    found = asyncio.run(work(Batch(Trigger.SQS, items), journey, seconds))
    assert len(found) == len(items)
    for group in ("a", "b"):
        of_group = [
            one is DONE for one, item in zip(found, items, strict=True) if item.group == group
        ]
        assert of_group == sorted(of_group, reverse=True)
    for (_, body), one in zip(given_, found, strict=True):
        assert one is not DONE or body == "done"
