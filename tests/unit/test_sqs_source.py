"""The SQS source against a scripted client, in virtual time: what is hidden is owned by somebody."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
import structlog
from msgspec.structs import replace

from monitor.consumer import Consumer
from monitor.delivery import Delivery, Disposition
from monitor.metrics import Metrics
from monitor.sources.sqs import Queue, SqsSource, dead_letter_queue
from tests.unit.fake_sqs import URL, FakeAws, FakeSqs, LoopClock, message, refusal

pytestmark = pytest.mark.looptime
GUARD = Queue("guard", URL, "eu-west-1")


class Rig:
    """A source and a consumer; `work` says what becomes of each delivery."""

    def __init__(self, queue: Queue) -> None:
        self.sqs = FakeSqs()
        self.metrics = Metrics()
        self.source = SqsSource(queue, FakeAws(self.sqs, self.metrics), LoopClock(), self.metrics)
        self.consumer = Consumer(self.source, self, LoopClock(), self.metrics)
        self.work: Callable[[Delivery, Callable[[], None]], Any] = self.done
        self.seen: list[Delivery] = []

    async def done(self, _: Delivery, __: Callable[[], None]) -> Disposition:
        return Disposition.DONE

    async def process(self, delivery: Delivery, make_room: Callable[[], None]) -> Disposition:
        self.seen.append(delivery)
        disposition: Disposition = await self.work(delivery, make_room)
        return disposition

    def settling(self, disposition: Disposition, after: float = 0) -> None:
        async def work(_: Delivery, __: Callable[[], None]) -> Disposition:
            await asyncio.sleep(after)
            return disposition

        self.work = work

    def value(self, name: str, **labels: str) -> float:
        labels = {"source": "guard", **labels}
        return self.metrics.registry.get_sample_value(f"kms_monitor_{name}", labels) or 0.0


@asynccontextmanager
async def running(**changes: Any) -> AsyncIterator[Rig]:
    """All tasks that the app starts; stopped in good order at the end."""
    rig = Rig(replace(GUARD, **changes))
    source = rig.source
    serving = [
        asyncio.create_task(work)
        for work in (source.batches.run(), source.keep_hidden(), source.watch())
    ]
    consuming = asyncio.create_task(rig.consumer.run())
    try:
        yield rig
        rig.consumer.stop()
        await asyncio.wait_for(consuming, 1000)
        await source.give_back()
        assert not source.hidden.messages
    finally:
        for task in (consuming, *serving):
            task.cancel()
        await asyncio.gather(consuming, *serving, return_exceptions=True)


async def test_deleted_when_done() -> None:
    async with running() as rig:
        rig.sqs.put(*(message(n) for n in range(25)))
        await asyncio.sleep(1)
        assert sorted(rig.sqs.entries("delete")) == sorted((f"h{n}", None) for n in range(25))
        assert not rig.sqs.entries("hide")
        first = rig.seen[0]
        assert (first.body, first.sender_id, first.receive_count) == ("body 0", "AIDASENDER", 1)
        assert first.sent_at == 1_800_000_000.0


# -- stopping


async def test_stop_waits_for_what_is_being_worked_on() -> None:
    async with running(wait=1) as rig:
        rig.settling(Disposition.DONE, after=20)
        rig.sqs.put(message(1))
        await asyncio.sleep(5)
    assert rig.sqs.entries("delete") == [("h1", None)]


async def test_what_arrives_after_the_stop_is_given_back() -> None:
    async with running() as rig:
        await asyncio.sleep(3)
        rig.consumer.stop()
        await asyncio.sleep(0.1)
        rig.sqs.put(message(1), message(2))
    assert not rig.seen
    assert sorted(rig.sqs.entries("hide")) == [("h1", 0), ("h2", 0)]
    assert not rig.sqs.entries("delete")
    assert rig.sqs.times("receive") == [0.0], "no receive is begun after the stop"


async def test_what_was_received_but_not_begun_is_given_back() -> None:
    async with running(wait=1) as rig:
        rig.settling(Disposition.REJECT)
        rig.sqs.put(*(message(n) for n in range(30)))
        await asyncio.sleep(1)
        rig.work = rig.done
        rig.sqs.put(*(message(n) for n in range(30, 39)))
        await asyncio.sleep(1)
        assert rig.consumer.problem()
        assert len(rig.source.hidden) <= 30
    handles = {handle for handle, _ in rig.sqs.entries("hide") + rig.sqs.entries("delete")}
    received = 39 - len(rig.sqs.queue)
    assert len(handles) == received


# -- keeping hidden


async def test_extended_at_half_life() -> None:
    async with running(visibility=60) as rig:
        rig.settling(Disposition.DONE, after=200)
        rig.sqs.put(message(1))
        await asyncio.sleep(210)
        assert set(rig.sqs.entries("hide")) == {("h1", 60)}
        times = [0.0, *rig.sqs.times("hide"), 200.0]
        assert all(later - at < 60 for at, later in pairwise(times))
        assert 3 <= len(times) - 2 <= 7
        assert rig.value("visibility_extensions_total", result="ok") == len(times) - 2
        assert len(rig.seen) == 1


async def test_an_extension_that_fails_is_tried_again_and_counted() -> None:
    async with running(visibility=60) as rig:
        rig.settling(Disposition.DONE, after=100)
        rig.sqs.broken["hide"] = refusal("RequestThrottled")
        rig.sqs.put(message(1))
        await asyncio.sleep(40)
        assert rig.value("visibility_extensions_total", result="failed") == 1
        del rig.sqs.broken["hide"]
        await asyncio.sleep(10)
        assert rig.value("visibility_extensions_total", result="ok") == 1
        await asyncio.sleep(60)
    assert rig.sqs.entries("delete") == [("h1", None)]


async def test_an_extension_that_fails_after_the_deletion_means_nothing() -> None:
    async with running(visibility=60) as rig:
        rig.settling(Disposition.DONE, after=30.05)
        rig.sqs.latency = 0.2
        rig.sqs.failing = lambda name, _: (True, "gone") if name == "hide" else None
        rig.sqs.put(message(1))
        await asyncio.sleep(60)
        assert rig.value("visibility_extensions_total", result="failed") == 0
        last = max(rig.sqs.times("hide"), default=0)
        assert last <= rig.sqs.times("delete")[0]


async def test_nothing_is_extended_past_twelve_hours() -> None:
    async with running(visibility=600) as rig:
        rig.settling(Disposition.RETRY, after=50_000)
        rig.sqs.put(message(1))
        await asyncio.sleep(49_900)
        assert max(rig.sqs.times("hide")) + 600 <= 43_200
        assert max(rig.sqs.times("hide")) > 42_000


async def test_received_again_while_it_is_worked_on() -> None:
    """Our extension came too late: one run, settled by the newest handle."""
    async with running() as rig:
        rig.settling(Disposition.DONE, after=20)
        rig.sqs.put(message(1, handle="old"))
        await asyncio.sleep(5)
        rig.sqs.put(message(1, handle="new", receives=2))
        await asyncio.sleep(30)
        assert len(rig.seen) == 1
        assert rig.sqs.entries("delete") == [("new", None)]


# -- room


@pytest.mark.parametrize(("limit", "pollers"), [(1, 4), (7, 3), (25, 8)])
async def test_never_more_in_flight_than_allowed(limit: int, pollers: int) -> None:
    async with running(in_flight=limit, pollers=pollers, wait=1) as rig:
        busy = most = 0

        async def work(_: Delivery, __: Callable[[], None]) -> Disposition:
            nonlocal busy, most
            busy += 1
            most = max(most, busy, len(rig.source.hidden))
            await asyncio.sleep(1)
            busy -= 1
            return Disposition.DONE

        rig.work = work
        rig.sqs.put(*(message(n) for n in range(100)))
        await asyncio.sleep(150)
        assert len(rig.seen) == 100
        assert most == limit


async def test_never_more_bulk_than_allowed() -> None:
    async with running(bulk=True, bulk_in_flight=15, in_flight=10, pollers=4, wait=1) as rig:
        rig.settling(Disposition.DONE, after=5)
        rig.sqs.put(*(message(n) for n in range(100)))
        most = 0
        for _ in range(500):
            await asyncio.sleep(0.1)
            most = max(most, len(rig.source.hidden))
        assert len(rig.seen) == 100
        assert most == 15


async def test_bulk_takes_no_urgent_room() -> None:
    async with running(in_flight=5, wait=1) as rig:

        async def work(delivery: Delivery, make_room: Callable[[], None]) -> Disposition:
            if int(delivery.delivery_id[1:]) < 50:
                make_room()
                await asyncio.sleep(1000)
            return Disposition.DONE

        rig.work = work
        rig.sqs.put(*(message(n) for n in range(50)))
        rig.sqs.put(message(99))
        await asyncio.sleep(10)
        assert rig.sqs.entries("delete") == [("h99", None)]
    # It is not waited for, and comes again at once.
    given_back = {handle for handle, seconds in rig.sqs.entries("hide") if seconds == 0}
    assert given_back == {f"h{n}" for n in range(50)}


async def test_pollers_grow_and_shrink() -> None:
    async with running(pollers=4, in_flight=100, wait=5) as rig:
        await asyncio.sleep(20)
        assert rig.source.polling == rig.sqs.polls == 1
        rig.settling(Disposition.DONE, after=1)
        rig.sqs.put(*(message(n) for n in range(500)))
        await asyncio.sleep(0.5)
        assert rig.source.polling == 4
        await asyncio.sleep(30)
        assert len(rig.seen) == 500
        assert rig.source.polling == rig.sqs.polls == 1


# -- trouble


async def test_a_queue_that_comes_back() -> None:
    async with running() as rig:
        rig.sqs.put(message(0))
        await asyncio.sleep(1)
        assert rig.source.problem() is None
        rig.sqs.errors.extend([refusal("AWS.SimpleQueueService.NonExistentQueue")] * 15)
        await asyncio.sleep(60)
        assert "does not exist" in (rig.source.problem() or "")
        assert rig.value("source_up") == 0
        await asyncio.sleep(700)
        assert rig.source.problem() is None
        assert rig.value("source_up") == 1
        times = rig.sqs.times("receive")[2:12]
        pauses = [later - at for at, later in pairwise(times)]
        assert all(0.5 <= pause <= 60 for pause in pauses), "neither a tight loop nor for ever"
        assert pauses[-1] > 5 * pauses[0]
        rig.sqs.errors.append(refusal("InternalFailure", 500))
        rig.sqs.put(message(1))
        await asyncio.sleep(15)
        assert len(rig.seen) == 2, "the back-off begins anew"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (refusal("AccessDenied", 403), "not permitted: sqs:ReceiveMessage"),
        (refusal("RequestThrottled"), "RequestThrottled"),
        (refusal("InternalFailure", 500), "InternalFailure"),
        (ConnectionResetError(), "AWS cannot be reached"),
        (TimeoutError(), "AWS cannot be reached"),
    ],
)
async def test_the_problem_says_what_to_do(error: Exception, text: str) -> None:
    async with running() as rig:
        rig.sqs.errors.append(error)
        await asyncio.sleep(0.1)
        assert text in (rig.source.problem() or "")


@pytest.mark.parametrize("code", ["KmsDisabled", "KMS.DisabledException", "KmsAccessDenied"])
async def test_the_key_of_the_queue_is_critical(code: str) -> None:
    with structlog.testing.capture_logs() as lines:
        async with running() as rig:
            rig.sqs.errors.extend([refusal(code)] * 3)
            await asyncio.sleep(2)
            assert "the key that encrypts the queue" in (rig.source.problem() or "")
    (line,) = [one for one in lines if one["event"] == "cannot receive"]
    assert line["log_level"] == "critical"


async def test_a_stop_during_a_back_off_ends_at_once() -> None:
    async with running() as rig:
        rig.sqs.errors.extend([refusal("AccessDenied", 403)] * 1000)
        await asyncio.sleep(500)
        before = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - before < 1


# -- settling


async def test_rejected_goes_to_the_dead_letter_queue() -> None:
    async with running() as rig:
        rig.settling(Disposition.REJECT)
        rig.sqs.put(message(1))
        await asyncio.sleep(1)
        assert rig.sqs.entries("hide") == [("h1", 0)]
        assert not rig.sqs.entries("delete")


async def test_rejected_without_a_dead_letter_queue_does_not_spin() -> None:
    with structlog.testing.capture_logs() as lines:
        async with running() as rig:
            rig.sqs.attributes = {}
            rig.settling(Disposition.REJECT)
            await asyncio.sleep(100)
            rig.sqs.put(message(1))
            await asyncio.sleep(1)
            assert rig.sqs.entries("hide") == [("h1", 900)]
    assert len([one for one in lines if "no dead-letter queue" in one["event"]]) == 1


async def test_retries_come_ever_later() -> None:
    async with running() as rig:
        rig.settling(Disposition.RETRY)
        for receives in (1, 2, 3, 4, 5, 6, 50, 1000):
            rig.sqs.put(message(receives, receives=receives))
            await asyncio.sleep(1)
        waits = [seconds for _, seconds in rig.sqs.entries("hide")]
        assert waits == [10, 30, 90, 270, 810, 900, 900, 900]


async def test_most_are_unreadable() -> None:
    """Nothing more is taken for a while, by none of the pollers."""
    async with running(pollers=4, in_flight=100, wait=1) as rig:
        rig.settling(Disposition.REJECT)
        rig.sqs.put(*(message(n) for n in range(1000)))
        await asyncio.sleep(20)
        assert rig.consumer.problem()
        taken = len(rig.seen)
        assert taken <= 20 + 4 * 10 + 10
        rig.work = rig.done
        await asyncio.sleep(60)
        assert rig.consumer.problem() is None
        assert len(rig.seen) == 1000


async def test_dead_letters_are_counted() -> None:
    dlq = "arn:aws:sqs:eu-west-1:111122223333:guard-dlq"
    async with running() as rig:
        rig.sqs.attributes = {"RedrivePolicy": json.dumps({"deadLetterTargetArn": dlq})}
        rig.sqs.others["guard-dlq"] = {"ApproximateNumberOfMessages": "3"}
        await asyncio.sleep(40)
        assert rig.value("queue_messages", state="dead_letters") == 3
        rig.sqs.broken["get_queue_url"] = refusal("AccessDenied", operation="GetQueueUrl")
        rig.sqs.others["guard-dlq"] = {"ApproximateNumberOfMessages": "4"}
        await asyncio.sleep(40)
        assert (
            rig.value("queue_messages", state="dead_letters") == 3
        )  # what is not known is not guessed
        assert rig.sqs.times("get_queue_url")[-1] > 40


@pytest.mark.parametrize(
    "policy", ["", "x", "[]", "{}", '{"deadLetterTargetArn": 5}', '{"deadLetterTargetArn": "x"}']
)
async def test_a_redrive_policy_that_names_no_queue(policy: str) -> None:
    assert dead_letter_queue({"RedrivePolicy": policy}) == ""
    assert dead_letter_queue({}) == ""
