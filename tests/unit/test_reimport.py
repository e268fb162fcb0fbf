"""Bringing material back, as far as the simulator cannot show it: turns, and which error wins.

What KMS does is in tests/journey/test_material.py.
"""

import asyncio
import re
import subprocess
import sys
from typing import Any, ClassVar

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from monitor.errors import Denied, NotWorthRetrying, WorthRetrying
from monitor.escrow import Secret, Wanted
from monitor.material_metrics import MaterialMetrics
from monitor.metrics import Metrics
from monitor.reimport.asking import Escrows, ask
from monitor.reimport.bring_back import LONGEST_QUEUE, TURN, Turns, nothing_found
from monitor.reimport.imports import explain
from tests.samples import KEY

WANTED = Wanted(KEY, "0123456789abcdef")


class LoopClock:
    def now(self) -> float:
        return 0.0

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


@pytest.mark.looptime
async def test_one_key_in_four_seconds_of_each_place() -> None:
    """GetParametersForImport: 0.25 a second for each account and Region (aws-facts 3.7)."""
    turns, began = Turns(LoopClock()), asyncio.get_running_loop().time()
    elsewhere = replace(KEY, region="us-east-1")
    at: list[tuple[str, float]] = []

    async def one(key: Any) -> None:
        await turns.mine(key)
        at.append((key.region, asyncio.get_running_loop().time() - began))

    await asyncio.gather(one(KEY), one(KEY), one(elsewhere), one(KEY))
    assert sorted(at) == [("eu-west-1", 0), ("eu-west-1", 4), ("eu-west-1", 8), ("us-east-1", 0)]
    await asyncio.sleep(100)
    await one(KEY)
    assert at[-1][1] == 108


@pytest.mark.looptime
async def test_who_would_wait_too_long_comes_again() -> None:
    turns = Turns(LoopClock())
    fit = int(LONGEST_QUEUE / TURN) + 1
    answers = await asyncio.gather(
        *(turns.mine(KEY) for _ in range(fit + 5)), return_exceptions=True
    )
    assert [type(one) for one in answers[fit:]] == [WorthRetrying] * 5
    assert answers[:fit] == [None] * fit


@pytest.mark.parametrize(
    ("problems", "kind"),
    [
        ([], NotWorthRetrying),
        ([NotWorthRetrying("a")], NotWorthRetrying),
        ([NotWorthRetrying("a"), Denied("b")], Denied),
        ([Denied("a"), WorthRetrying("b"), NotWorthRetrying("c")], WorthRetrying),
    ],
)
def test_what_may_pass_is_worth_another_try(problems: list[Any], kind: type[Exception]) -> None:
    named = {f"escrow {number}": one for number, one in enumerate(problems)}
    error = nothing_found(WANTED, named)
    assert type(error) is kind
    assert str(error).startswith("no escrow has the right material 0123456789ab of arn:aws:kms:")
    for name, one in named.items():
        assert f"{name}: {one}" in str(error)


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        ("IncorrectKeyMaterialException", NotWorthRetrying, "not the material that the key had"),
        ("ExpiredImportTokenException", WorthRetrying, "older than 24 hours: ask for a new one"),
        ("InvalidImportTokenException", WorthRetrying, "was used already, or is another key's"),
        ("InvalidCiphertextException", NotWorthRetrying, "public key of another token"),
        ("KMSInvalidStateException", NotWorthRetrying, "aws said no"),
    ],
)
def test_errors_of_kms_are_explained(code: str, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words) as caught:
        explain(NotWorthRetrying("aws said no", code=code))
    assert str(caught.value).startswith("aws said no")
    assert getattr(caught.value, "code", "") == code


class Escrow:
    name: ClassVar[str] = "x"
    Options: ClassVar[type[Any]] = dict

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    async def fetch(self, _: Wanted) -> Secret | None:
        if isinstance(self.answer, Exception):
            raise self.answer
        return None if self.answer is None else Secret(self.answer)


async def test_escrows_are_asked_in_order_counted_and_their_secrets_wiped() -> None:
    metrics = Metrics().material
    answers = {
        "first": None,
        "second": WorthRetrying("later"),
        "third": Denied("no"),
        "fourth": bytearray(b"4"),
        "fifth": bytearray(b"5"),
    }
    escrows = Escrows({name: Escrow(one) for name, one in answers.items()}, metrics)
    problems: dict[str, Any] = {}
    kept: list[tuple[str, Secret]] = []
    async for name, secret in escrows.having(WANTED, problems):
        assert all(len(one) == 0 for _, one in kept)
        assert len(secret) == 1
        kept.append((name, secret))
    assert [name for name, _ in kept] == ["fourth", "fifth"]
    assert all(len(one) == 0 for _, one in kept)
    assert set(problems) == {"second", "third"}
    assert counted(metrics) == {
        ("first", "missing"),
        ("second", "failed"),
        ("third", "denied"),
        ("fourth", "found"),
        ("fifth", "found"),
    }
    failing = {name: metrics.failing.labels(name)._value.get() for name in answers}
    assert failing == {"first": 0, "second": 1, "third": 1, "fourth": 0, "fifth": 0}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (ValueError("hunter2"), r"ValueError in test_reimport\.py"),
        (asyncio.CancelledError("hunter2"), "CancelledError"),
        ("hunter2", "it gave no"),
    ],
)
async def test_an_escrow_of_others_that_breaks_stops_nobody_and_tells_nothing(
    answer: Any, words: str
) -> None:
    class Broken(Escrow):
        async def fetch(self, _: Wanted) -> Any:
            if isinstance(answer, BaseException):
                raise answer
            return answer

    good = Escrow(bytearray(b"x"))
    escrows = Escrows({"broken": Broken(None), "good": good}, Metrics().material)
    problems: dict[str, Any] = {}
    with capture_logs() as lines:
        found = [name async for name, _ in escrows.having(WANTED, problems)]
    assert found == ["good"]
    assert re.search(words, str(problems["broken"]))
    assert "hunter2" not in f"{lines}{problems}"


async def test_who_gives_up_ends_what_was_asked() -> None:
    ended = asyncio.Event()

    class Slow(Escrow):
        async def fetch(self, _: Wanted) -> Secret | None:
            try:
                await asyncio.sleep(60)
            finally:
                await asyncio.sleep(0)  # such as the end of a program that is waited for
                ended.set()
            return None

    asking = asyncio.create_task(ask("slow", Slow(None), WANTED), name="ask")
    await asyncio.sleep(0.01)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert ended.is_set()


def counted(metrics: MaterialMetrics) -> set[tuple[str, str]]:
    return {
        (one.labels["escrow"], one.labels["answer"])
        for family in metrics.answers.collect()
        for one in family.samples
        if one.name.endswith("_total") and one.value == 1
    }


def test_nobody_sees_the_memory_of_a_process_that_keeps_it_private() -> None:
    """In a process of its own, for it cannot be undone."""
    program = (
        "import ctypes, resource\n"
        "from monitor.private_memory import keep_private\n"
        "resource.setrlimit(resource.RLIMIT_CORE, (4096, resource.getrlimit(resource.RLIMIT_CORE)[1]))\n"
        "assert keep_private() == []\n"
        "print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=20
    )
    assert done.stdout == "(0, 0) 0\n"
