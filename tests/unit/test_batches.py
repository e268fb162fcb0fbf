"""Batches to SQS: HTTP 200 says nothing about a single entry."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from monitor.metrics import Metrics
from monitor.sources.batches import TRIES, Batches, Entry
from tests.unit.fake_sqs import URL, FakeAws, FakeSqs, refusal

pytestmark = pytest.mark.looptime


class Rig:
    def __init__(self) -> None:
        self.sqs = FakeSqs()
        self.aws = FakeAws(self.sqs, Metrics())
        self.lost: Counter[str] = Counter()
        self.batches = Batches(self.aws, self.client, URL, self.count)

    async def client(self) -> Any:
        return self.sqs

    def count(self, call: str, number: int) -> None:
        self.lost[call] += number

    async def put(self, *entries: Entry) -> list[bool]:
        return list(await asyncio.gather(*map(self.batches.put, entries)))


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    rig = Rig()
    running = asyncio.create_task(rig.batches.run())
    yield rig
    assert not running.done()
    running.cancel()


async def test_ten_at_a_time(rig: Rig) -> None:
    assert await rig.put(*(Entry(f"h{n}", None) for n in range(25))) == [True] * 25
    sizes = [len(parameters["Entries"]) for _, _, parameters in rig.sqs.calls]
    assert sorted(sizes) == [5, 10, 10]
    assert sorted(rig.sqs.entries("delete")) == sorted((f"h{n}", None) for n in range(25))


async def test_many_hundred_at_once(rig: Rig) -> None:
    assert all(await rig.put(*(Entry(f"h{n}", n % 3 or None) for n in range(500))))
    assert len(rig.sqs.entries("delete")) + len(rig.sqs.entries("hide")) == 500


async def test_only_what_failed_is_sent_again(rig: Rig) -> None:
    left = {"h3": 2, "h7": 1}

    def failing(_: str, entry: dict[str, Any]) -> tuple[bool, str] | None:
        if left.get(entry["ReceiptHandle"], 0):
            left[entry["ReceiptHandle"]] -= 1
            return (False, "InternalError")
        return None

    rig.sqs.failing = failing
    assert await rig.put(*(Entry(f"h{n}", None) for n in range(10))) == [True] * 10
    sent = [sorted(e["ReceiptHandle"] for e in p["Entries"]) for _, _, p in rig.sqs.calls]
    assert sent == [[f"h{n}" for n in range(10)], ["h3", "h7"], ["h3"]]
    assert not rig.lost


async def test_our_own_fault_is_not_tried_again(rig: Rig) -> None:
    rig.sqs.failing = lambda _, entry: (
        (True, "ReceiptHandleIsInvalid") if entry["ReceiptHandle"] == "h1" else None
    )
    assert await rig.put(*(Entry(f"h{n}", None) for n in range(3))) == [True, False, True]
    assert len(rig.sqs.calls) == 1
    assert rig.lost == {"delete": 1}


async def test_given_up_at_last(rig: Rig) -> None:
    rig.sqs.failing = lambda *_: (False, "InternalError")
    assert await rig.put(Entry("h1", 60), Entry("h2", None)) == [False, False]
    assert len(rig.sqs.times("hide")) == len(rig.sqs.times("delete")) == TRIES
    assert rig.lost == {"hide": 1, "delete": 1}
    rig.sqs.failing = lambda *_: None
    assert await rig.put(Entry("h3", None)) == [True]


@pytest.mark.parametrize(
    "error",
    [
        refusal("QueueDoesNotExist"),
        refusal("RequestThrottled"),
        refusal("AccessDenied", 403),
        refusal("InternalFailure", 500),
        EndpointConnectionError(endpoint_url=URL),
        TimeoutError(),
        ConnectionResetError(),
    ],
    ids=lambda error: type(error).__name__ + str(getattr(error, "response", {}).get("Error", "")),
)
async def test_a_call_that_fails_ends_nothing(rig: Rig, error: Exception) -> None:
    rig.sqs.broken["delete"] = error
    assert await rig.put(Entry("h1", None)) == [False]
    assert rig.lost == {"delete": 1}
    del rig.sqs.broken["delete"]
    assert await rig.put(Entry("h1", None)) == [True]


async def test_the_same_message_twice(rig: Rig) -> None:
    """SQS refuses a whole batch with two equal ids, so they are positions."""
    assert await rig.put(Entry("h1", None), Entry("h1", None)) == [True, True]


async def test_of_two_times_for_one_message_the_last_counts(rig: Rig) -> None:
    """A heartbeat and a release in the same moment: what stays must be the release."""
    done = await rig.put(Entry("h1", 60), Entry("h2", 60), Entry("h1", 0))
    assert done == [False, True, True]
    assert sorted(rig.sqs.entries("hide")) == [("h1", 0), ("h2", 60)]


async def test_a_heartbeat_goes_out_before_the_deletion(rig: Rig) -> None:
    rig.sqs.latency = 1
    assert await rig.put(Entry("h1", None), Entry("h1", 60)) == [True, True]
    assert [name for _, name, _ in rig.sqs.calls] == ["hide", "delete"]
    assert rig.sqs.times("delete")[0] - rig.sqs.times("hide")[0] >= 1


async def test_who_stopped_waiting_does_no_harm(rig: Rig) -> None:
    rig.sqs.latency = 1
    waiting = asyncio.create_task(rig.batches.put(Entry("h1", None)))
    await asyncio.sleep(0.5)
    waiting.cancel()
    assert await rig.put(Entry("h2", None)) == [True]
    assert rig.sqs.entries("delete") == [("h1", None), ("h2", None)]
