"""Verdicts on their way to AWS Config; in virtual time. Replaced: Config's answers."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import stamina
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from monitor.aws import Aws
from monitor.config_rule.invocation import Invocation, Trigger
from monitor.config_rule.judging import Compliance, Verdict
from monitor.config_rule.putting import MOST, TRIES, Putting
from monitor.errors import Denied, NotWorthRetrying, WorthRetrying
from monitor.metrics import Metrics
from tests.samples import ACCOUNT, EPOCH, REGION

pytestmark = pytest.mark.looptime


def refused(code: str) -> ClientError:
    answer: Any = {
        "Error": {"Code": code, "Message": "no"},
        "ResponseMetadata": {"HTTPStatusCode": 400},
    }
    return ClientError(answer, "PutEvaluations")


class Door(Aws):
    """AWS Config: each call takes its answer from `script`; without one all is well."""

    def __init__(self, *script: Exception | int) -> None:
        super().__init__(Metrics())
        self.script = list(script)
        self.calls: list[dict[str, Any]] = []

    async def client(self, service: str, region: str, account: str = "") -> Any:
        assert (service, region, account) == ("config", REGION, ACCOUNT)
        return self

    async def put_evaluations(self, **asked: Any) -> dict[str, Any]:
        self.calls.append(asked)
        told = self.script.pop(0) if self.script else 0
        if isinstance(told, Exception):
            raise told
        return {"FailedEvaluations": asked["Evaluations"][:told]}

    async def put(self, count: int, token: str = "token") -> None:
        await Putting(self, self.metrics.config).put(asked(token), verdicts(count))

    def failed(self, reason: str) -> float | None:
        return self.metrics.registry.get_sample_value(
            "kms_monitor_config_evaluations_failed_total", {"reason": reason}
        )


def asked(token: str) -> Invocation:
    return Invocation(
        trigger=Trigger.PERIODIC,
        rule="rule",
        account=ACCOUNT,
        region=REGION,
        token=token,
        parameters={},
        at=EPOCH,
    )


def verdicts(count: int) -> list[Verdict]:
    return [
        Verdict("AWS::KMS::Key", f"key-{number}", Compliance.COMPLIANT, "well", EPOCH)
        for number in range(count)
    ]


@pytest.fixture(autouse=True)
def _few_tries() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3):
        yield


@given(st.integers(0, 5 * MOST))
def test_all_go_out_in_batches(count: int) -> None:
    door = Door()
    asyncio.run(door.put(count))
    sizes = [len(one["Evaluations"]) for one in door.calls]
    assert sum(sizes) == count
    assert all(0 < size <= MOST for size in sizes)
    assert len(sizes) == -(-count // MOST)
    names = [one["ComplianceResourceId"] for call in door.calls for one in call["Evaluations"]]
    assert len(set(names)) == count
    assert all("TestMode" not in one for one in door.calls)


async def test_a_throttled_call_is_made_again() -> None:
    door = Door(refused("ThrottlingException"), refused("ThrottlingException"))
    await door.put(2)
    assert len(door.calls) == 3


async def test_what_stays_throttled_is_said() -> None:
    door = Door(*[refused("ThrottlingException")] * 9)
    with pytest.raises(WorthRetrying):
        await door.put(2)
    assert door.failed("passing") == 2


async def test_only_verdicts_that_were_not_taken_go_out_again() -> None:
    door = Door(3, 1)
    await door.put(5)
    assert [len(one["Evaluations"]) for one in door.calls] == [5, 3, 1]
    assert door.failed("refused") == 0


async def test_those_that_are_never_taken_do_not_keep_the_others_back() -> None:
    door = Door(*[1] * TRIES)
    with pytest.raises(WorthRetrying, match="1 verdicts were not taken, such as key-0"):
        await door.put(MOST + 1)
    assert [len(one["Evaluations"]) for one in door.calls] == [MOST, 1, 1, 1]
    assert door.failed("refused") == 1


@pytest.mark.parametrize(
    ("code", "kind", "reason"),
    [
        ("InvalidResultTokenException", NotWorthRetrying, "token"),
        ("AccessDeniedException", Denied, "denied"),
        ("NoSuchConfigRuleException", NotWorthRetrying, "refused"),
    ],
)
async def test_what_is_refused_for_good_is_tried_once(
    code: str, kind: type[Exception], reason: str
) -> None:
    door = Door(refused(code))
    with pytest.raises(kind):
        await door.put(2)
    assert len(door.calls) == 1
    assert door.failed(reason) == 2


async def test_a_trial_says_so() -> None:
    door = Door()
    await door.put(1, token="TESTMODE")
    assert door.calls[0]["TestMode"] is True
