"""The limit of a channel: single messages, digests, and that everybody is answered.

Replaced: the channel, by functions that keep what they are given. Time is virtual.
"""

import asyncio
from collections.abc import Awaitable

import pytest

from monitor.errors import NotWorthRetrying, WorthRetrying
from monitor.storm import MOST_TOGETHER, Storm
from tests.samples import LoopClock

pytestmark = pytest.mark.looptime


class Line:
    """What goes out."""

    def __init__(self) -> None:
        self.single: list[int] = []
        self.digests: list[list[int]] = []
        self.error: Exception | None = None

    async def one(self, item: int) -> str:
        self.single.append(item)
        return f"one {item}"

    async def many(self, items: list[int]) -> str:
        if self.error:
            raise self.error
        self.digests.append(list(items))
        return f"digest {len(self.digests)}"


def storm(per_minute: int = 3, seconds: float = 5) -> tuple[Storm[int], Line]:
    return Storm(LoopClock(), per_minute=per_minute, seconds=seconds), Line()


async def send(made: tuple[Storm[int], Line], *items: int) -> "list[str | BaseException]":
    limit, line = made
    waiting: list[Awaitable[str]] = [limit.send(one, line.one, line.many) for one in items]
    return await asyncio.gather(*waiting, return_exceptions=True)


async def test_few_go_out_one_by_one_and_at_once() -> None:
    made = storm()
    began = asyncio.get_running_loop().time()
    assert await send(made, 1, 2, 3) == ["one 1", "one 2", "one 3"]
    assert asyncio.get_running_loop().time() == began
    assert made[1].digests == []


async def test_more_wait_for_one_digest_which_answers_them_all() -> None:
    made = storm()
    answers = await send(made, *range(10))
    assert answers == ["one 0", "one 1", "one 2", *["digest 1"] * 7]
    assert made[1].digests == [[3, 4, 5, 6, 7, 8, 9]]


async def test_after_a_while_they_go_out_one_by_one_again() -> None:
    made = storm()
    await send(made, *range(5))
    await asyncio.sleep(20)
    assert await send(made, 99) == ["one 99"]
    await asyncio.sleep(600)
    assert len(made[0].batch.items if made[0].batch else []) == 0
    await send(made, *range(20))
    assert len(made[1].single) == 3 + 1 + 3, "a quiet hour saves up no more than a minute's"


async def test_who_comes_while_a_digest_is_sent_waits_for_the_next() -> None:
    limit, line = made = storm(per_minute=1)
    sending = asyncio.Event()

    async def slowly(items: list[int]) -> str:
        sending.set()
        await asyncio.sleep(3)
        return await line.many(items)

    first = asyncio.create_task(limit.send(1, line.one, slowly), name="single")
    second = asyncio.create_task(limit.send(2, line.one, slowly), name="leads the digest")
    await sending.wait()
    assert (await send(made, 3))[0] == "digest 2"
    assert (await first, await second) == ("one 1", "digest 1")
    assert line.digests == [[2], [3]]


async def test_a_digest_that_is_refused_is_refused_for_all() -> None:
    made = storm(per_minute=1)
    made[1].error = NotWorthRetrying("gone")
    answers = await send(made, *range(4))
    assert [type(one) for one in answers] == [str, *[NotWorthRetrying] * 3]
    made[1].error = None
    assert await send(made, 9) == ["digest 1"]


async def test_a_digest_that_is_cut_off_comes_again_for_all() -> None:
    limit, line = storm(per_minute=1)
    await limit.send(0, line.one, line.many)
    leader = asyncio.create_task(limit.send(1, line.one, line.many), name="leader")
    await asyncio.sleep(0)
    other = asyncio.create_task(limit.send(2, line.one, line.many), name="other")
    await asyncio.sleep(1)
    leader.cancel()
    with pytest.raises(WorthRetrying, match="cut off"):
        await other
    with pytest.raises(asyncio.CancelledError):
        await leader
    assert line.digests == []


async def test_one_who_gives_up_takes_nobody_along() -> None:
    limit, line = storm(per_minute=1)
    await limit.send(0, line.one, line.many)
    tasks = [
        asyncio.create_task(limit.send(number, line.one, line.many), name=f"item {number}")
        for number in (1, 2, 3)
    ]
    await asyncio.sleep(1)
    tasks[1].cancel()
    assert await tasks[0] == await tasks[2] == "digest 1"
    assert line.digests == [[1, 2, 3]], "it may be told twice, and is not lost"


async def test_a_digest_is_bounded() -> None:
    made = storm(per_minute=1)
    await send(made, *range(2 * MOST_TOGETHER + 2))
    assert [len(one) for one in made[1].digests] == [MOST_TOGETHER, MOST_TOGETHER, 1]
