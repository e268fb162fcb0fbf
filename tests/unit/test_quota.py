"""At what rate, and in which order, writing calls go. In scope: `monitor.quota`, `monitor.writes`.

AWS is a bucket of its own here, as the simulator has it. Time is the event loop's, which is virtual.
"""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.errors import WorthRetrying
from monitor.quota import CANCEL, PER_SECOND, Bucket, most
from monitor.simulator.kms.quotas import PER_SECOND as OF_AWS
from monitor.simulator.kms.quotas import Quotas
from monitor.simulator.words import Refusal
from monitor.writes import HOLD_SECONDS, Writes
from tests.samples import LoopClock

HERE = ("eu-west-1", "111122223333")
pytestmark = pytest.mark.looptime


class Aws:
    """Its quotas, shared with others; what it allowed, and when."""

    def __init__(self, clock: LoopClock) -> None:
        self.clock = clock
        self.quotas = Quotas()
        self.allowed: list[tuple[str, float]] = []
        self.refused = 0

    def take(self, call: str) -> bool:
        now = self.clock.monotonic()
        try:
            self.quotas.take(HERE[1], HERE[0], call, scale=1.0, now=now)
        except Refusal:
            self.refused += 1
            return False
        self.allowed.append((call, now))
        return True


@pytest.fixture
def clock() -> LoopClock:
    return LoopClock()


async def write(writes: Writes, aws: Aws, call: str) -> None:
    """As `monitor.aws_clients` does it."""
    while True:
        async with writes.turn(HERE, call):
            await asyncio.sleep(0.01)
            if aws.take(call):
                return
            writes.throttled(HERE, call)


def test_no_quota_is_above_what_aws_gives() -> None:
    known = {call: rate for call, rate in PER_SECOND.items() if call in OF_AWS}
    assert known == {call: OF_AWS[call] for call in known}
    assert PER_SECOND.keys() - known.keys() == {"ConnectCustomKeyStore"}


@given(st.lists(st.floats(0, 3), max_size=60), st.sampled_from([0.25, 1.0, 5.0, 15.0]))
def test_no_second_holds_more_than_the_quota(pauses: list[float], rate: float) -> None:
    bucket, now, sent = Bucket.full(rate, 0.0), 0.0, list[float]()
    for pause in pauses:
        now += pause
        now += bucket.wait(now)
        bucket.take(now)
        sent.append(now)
    for start in sent:
        within = sum(start <= moment < start + 1.0 for moment in sent)
        assert within <= most(rate) + rate + 1e-6


@given(st.floats(0, 100), st.floats(0, 100))
def test_a_clock_that_stands_still_gives_nothing(first: float, second: float) -> None:
    bucket = Bucket.full(5.0, first)
    bucket.empty(first)
    bucket.fill(min(first, second))
    assert bucket.wait(first) == pytest.approx(0.2)


async def test_fifty_deletions_go_at_the_quotas_rate_and_nothing_before_them(
    clock: LoopClock,
) -> None:
    aws, writes = Aws(clock), Writes(clock)

    async def repair() -> None:
        await write(writes, aws, CANCEL)
        await write(writes, aws, "EnableKey")

    await asyncio.gather(*(repair() for _ in range(50)))
    cancels = [moment for call, moment in aws.allowed if call == CANCEL]
    assert 9.0 / (cancels[-1] - cancels[0]) >= 0.9
    assert all(moment > cancels[-1] for call, moment in aws.allowed if call == "EnableKey")
    assert aws.refused == 0


async def test_a_quota_that_others_use_too_is_not_overrun(clock: LoopClock) -> None:
    """Whoever attacks uses half of it all the time."""
    aws, writes = Aws(clock), Writes(clock)

    async def attack() -> None:
        while True:
            aws.quotas.take(HERE[1], HERE[0], CANCEL, scale=1.0, now=clock.monotonic())
            await asyncio.sleep(0.4)

    attacker = asyncio.create_task(attack(), name="uses the same quota")
    await asyncio.gather(*(write(writes, aws, CANCEL) for _ in range(25)))
    took = aws.allowed[-1][1] - aws.allowed[0][1]
    assert 24 / took > 2.0
    assert aws.refused < 30
    attacker.cancel()


async def test_one_key_waits_for_nothing(clock: LoopClock) -> None:
    aws, writes = Aws(clock), Writes(clock)
    await write(writes, aws, CANCEL)
    await write(writes, aws, "EnableKey")
    assert [round(moment - aws.allowed[0][1], 3) for _, moment in aws.allowed] == [0.0, 0.01]


async def test_others_are_held_back_only_for_so_long(clock: LoopClock) -> None:
    aws, writes = Aws(clock), Writes(clock)
    cancels = [asyncio.create_task(write(writes, aws, CANCEL), name="a cancel") for _ in range(200)]
    await asyncio.sleep(0)
    began = clock.monotonic()
    await write(writes, aws, "EnableKey")
    assert HOLD_SECONDS <= clock.monotonic() - began < HOLD_SECONDS + 1
    await asyncio.gather(*cancels)


async def test_other_places_and_other_calls_do_not_wait(clock: LoopClock) -> None:
    aws, writes = Aws(clock), Writes(clock)
    cancels = [asyncio.create_task(write(writes, aws, CANCEL), name="a cancel") for _ in range(50)]
    await asyncio.sleep(0)
    began = clock.monotonic()
    async with writes.turn(("us-east-1", HERE[1]), "EnableKey"):
        pass
    async with writes.turn(HERE, "DescribeKey"):
        pass
    assert clock.monotonic() == began
    await asyncio.gather(*cancels)


async def test_whoever_gives_up_waiting_does_not_keep_the_others(clock: LoopClock) -> None:
    aws, writes = Aws(clock), Writes(clock)
    waiting = [asyncio.create_task(write(writes, aws, CANCEL), name="a cancel") for _ in range(50)]
    await asyncio.sleep(0.05)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    began = clock.monotonic()
    await write(writes, aws, "EnableKey")
    assert clock.monotonic() - began < 1.0


@pytest.mark.parametrize("call", [CANCEL, "EnableKey"])
async def test_the_kill_switch_stops_calls_that_wait_for_their_turn(
    clock: LoopClock, call: str
) -> None:
    writes, stopped, sent = Writes(clock), list[str](), list[float]()

    async def one() -> None:
        async with writes.turn(HERE, call, lambda: stopped[0] if stopped else None):
            sent.append(clock.monotonic())

    waiting = [asyncio.create_task(one()) for _ in range(40)]
    await asyncio.sleep(2)
    before = len(sent)
    assert 0 < before < 40
    stopped.append("the kill switch is on")
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert len(sent) == before
    refused = [one for one in ended if one is not None]
    assert len(refused) == 40 - before
    assert all(
        isinstance(error, WorthRetrying) and str(error) == f"kms:{call}: not sent: {stopped[0]}"
        for error in refused
    )
    stopped.clear()
    await one()  # nothing is left that would hold up others
