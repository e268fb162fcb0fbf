"""How the inventory reads what AWS answers: the parts of it that need no AWS."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.aws import Aws
from monitor.errors import Denied
from monitor.loops.looking import Finds, Look, Step, dead_letter_queue
from monitor.loops.looking_around import lets_through, trails, verdict
from monitor.metrics import Metrics
from tests.samples import ACCOUNT, KEY, OTHER_ACCOUNT, REGION

HERE, THERE = (ACCOUNT, REGION), (OTHER_ACCOUNT, "us-east-1")
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:dead"


@pytest.mark.parametrize(
    ("pattern", "takes"),
    [
        ({"source": ["aws.kms"]}, True),
        ({"source": [{"prefix": "aws."}]}, True),
        ({"source": ["aws.kms"], "detail": {"eventName": ["DisableKey"]}}, True),
        ({"source": ["aws.kms"], "detail": {"eventName": ["CreateKey"]}}, False),
        ({"source": ["aws.s3"]}, False),
        ({"source": ["aws.kms"], "account": [OTHER_ACCOUNT]}, False),
        ({"source": ["aws.kms"], "detail": {"errorCode": [{"exists": True}]}}, False),
    ],
)
def test_which_rules_let_kms_events_through(pattern: dict[str, Any], takes: bool) -> None:
    assert lets_through(json.dumps(pattern), [HERE]) is takes


def test_a_rule_on_a_central_bus_need_not_take_the_events_of_every_place() -> None:
    pattern = json.dumps({"source": ["aws.kms"], "account": [OTHER_ACCOUNT]})
    assert lets_through(pattern, [HERE, THERE])


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '"x"'])
def test_what_is_no_pattern_lets_nothing_through(text: str) -> None:
    assert not lets_through(text, [HERE])


@pytest.mark.parametrize(
    ("text", "arn"),
    [
        (json.dumps({"deadLetterTargetArn": QUEUE, "maxReceiveCount": 5}), QUEUE),
        ("", ""),
        ("{", ""),
        ("[]", ""),
        ("7", ""),
        ('{"maxReceiveCount": 5}', ""),
    ],
)
def test_the_dead_letter_queue_stands_in_json_in_a_text(text: str, arn: str) -> None:
    assert dead_letter_queue(text) == arn


@given(st.lists(st.sampled_from([True, False, None])), st.booleans())
def test_what_cannot_be_told_is_never_said_to_be_missing(
    known: list[bool | None], failed: bool
) -> None:
    answer = verdict(known, Step(failed))
    if True in known:
        assert answer is True
    else:
        assert answer is (None if failed or None in known else False)


def test_finds_are_arns_and_keys_that_somebody_can_take_away() -> None:
    finds = Finds()
    for arn in (QUEUE, "", None, "dead", 7):
        finds.add("queues", arn)
    for name in (
        KEY.arn,
        "alias/queue",
        "alias/aws/sqs",
        "",
        None,
        f"arn:aws:kms:{REGION}:1:alias/aws/sns",
    ):
        finds.add_key(HERE, name, "the queue")
    assert finds.watched().queues == {QUEUE}
    assert [name for _, name, _ in finds.encrypted] == [KEY.arn, "alias/queue"]


class CloudTrail:
    """One trail that logs everything, in a place that lets us look, or not."""

    def __init__(self, account: str, region: str, *, denied: bool) -> None:
        self.arn = f"arn:aws:cloudtrail:{region}:{account}:trail/main"
        self.denied = denied

    async def describe_trails(self) -> dict[str, Any]:
        if self.denied:
            raise Denied("cloudtrail:DescribeTrails: AccessDeniedException: no")
        return {"trailList": [{"TrailARN": self.arn, "HomeRegion": REGION}]}

    async def get_trail_status(self, Name: str) -> dict[str, Any]:  # noqa: N803
        assert Name == self.arn
        return {"IsLogging": True}

    async def get_event_selectors(self, TrailName: str) -> dict[str, Any]:  # noqa: N803
        assert TrailName == self.arn
        return {"EventSelectors": [{"ReadWriteType": "All", "IncludeManagementEvents": True}]}


class Trails(Aws):
    def __init__(self, *denied: tuple[str, str]) -> None:
        super().__init__(Metrics())
        self.denied = denied

    async def client(self, service: str, region: str, account: str = "") -> Any:
        assert service == "cloudtrail"
        return CloudTrail(account, region, denied=(account, region) in self.denied)


@asynccontextmanager
async def step(_: str) -> AsyncIterator[Step]:
    taken = Step()
    try:
        yield taken
    except Denied:
        taken.failed = True


@pytest.mark.parametrize("places", [[HERE, THERE], [THERE, HERE]])
async def test_a_trail_where_we_may_not_look_counts_as_ours(places: list[tuple[str, str]]) -> None:
    look = Look(Trails(THERE), step, Finds())
    assert await trails(look, places) == {HERE: True, THERE: None}
    watched = look.finds.watched()
    assert watched.ours("trails", f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/main") is True
    assert watched.ours("trails", f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/other") is False
    far = f"arn:aws:cloudtrail:us-east-1:{OTHER_ACCOUNT}:trail/any"
    assert watched.ours("trails", far) is True


async def test_where_we_may_look_nowhere_nothing_is_known() -> None:
    look = Look(Trails(HERE, THERE), step, Finds())
    assert await trails(look, [HERE, THERE]) == {HERE: None, THERE: None}
    assert look.finds.watched().ours("trails", "arn:aws:cloudtrail:x") is None
