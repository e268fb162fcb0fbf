"""The way back to how our sight should be: carried out on a model it ends there, and stays."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.sight_repair.plan import (
    DESTINATIONS,
    MOST_TARGETS,
    STATES,
    SWITCHES,
    SightCall,
    plan,
    sees_less,
)
from monitor.sight_repair.resource import Part, Resource, Settings, bad, parsed, written
from tests.samples import ACCOUNT, REGION


def resource_of(service: str, name: str) -> Resource:
    found = Resource.parse(f"arn:aws:{service}:{REGION}:{ACCOUNT}:{name}")
    assert found is not None
    return found


TRAIL, RULE = resource_of("cloudtrail", "trail/main"), resource_of("events", "rule/kms")
QUEUE, TOPIC = resource_of("sqs", "kms"), resource_of("sns", "kms")
ALL = {"IncludeManagementEvents": True, "ReadWriteType": "All"}
EVERYTHING = {"EventSelectors": [ALL]}
NOT_KMS = {"EventSelectors": [ALL | {"ExcludeManagementEventSources": ["kms.amazonaws.com"]}]}
READS_ONLY = {"EventSelectors": [ALL | {"ReadWriteType": "ReadOnly"}]}
WRITES_ONLY = {"EventSelectors": [ALL | {"ReadWriteType": "WriteOnly"}]}
WIDE = {"source": ["aws.kms"]}
NARROW = {"source": ["aws.kms"], "detail": {"eventName": ["EnableKey"]}}
EVEN_WIDER = {"source": [{"prefix": "aws."}]}
"""What a document in a text is like does not matter here."""


def carried_out(found: Settings, calls: Iterable[SightCall]) -> dict[Part, Any]:
    """What AWS makes of the calls, as its API references say."""
    copy = json.loads(json.dumps(found))
    now: dict[Part, Any] = {Part(name): value for name, value in copy.items()}
    for call in calls:
        given = {name: value for name, value in call.parameters.items() if name not in NAMES}
        if "Trail" in call.name or call.name in {"StartLogging", "PutEventSelectors"}:
            now = trail_after(now, call.name, given)
        elif call.name in {"SetQueueAttributes", "SetTopicAttributes"}:
            set_attributes(now, given)
        else:
            put_rule(now, call.name, given)
    return now


NAMES = {"Name", "TrailName", "EventBusName", "Rule"}


def trail_after(now: dict[Part, Any], call: str, given: dict[str, Any]) -> dict[Part, Any]:
    match call:
        case "CreateTrail":
            assert not now
            blank = dict.fromkeys(DESTINATIONS, "") | dict.fromkeys(SWITCHES, False)
            return {
                Part.TRAIL_SETTINGS: blank | given,
                Part.TRAIL_SELECTORS: EVERYTHING,
                Part.TRAIL_LOGGING: False,
            }
        case "StartLogging":
            return now | {Part.TRAIL_LOGGING: True}
        case "PutEventSelectors":
            return now | {Part.TRAIL_SELECTORS: given}
        case _:
            assert call == "UpdateTrail"
            return now | {Part.TRAIL_SETTINGS: now[Part.TRAIL_SETTINGS] | given}


def put_rule(now: dict[Part, Any], call: str, given: dict[str, Any]) -> None:
    match call:
        case "EnableRule":
            now[Part.RULE_STATE] = "ENABLED"
        case "PutRule":
            now[Part.RULE_STATE] = given.pop("State", "ENABLED")
            given["EventPattern"] = json.loads(given["EventPattern"])
            now[Part.RULE_PATTERN] = given
            now.setdefault(Part.RULE_TARGETS, {})
        case "RemoveTargets":
            for name in given["Ids"]:
                del now[Part.RULE_TARGETS][name]
        case _:
            assert call == "PutTargets"
            now[Part.RULE_TARGETS] |= {one["Id"]: one for one in given["Targets"]}
            assert len(now[Part.RULE_TARGETS]) <= MOST_TARGETS


def set_attributes(now: dict[Part, Any], given: dict[str, Any]) -> None:
    if "Attributes" not in given:
        given = {"Attributes": {given["AttributeName"]: given["AttributeValue"]}}
    queue = Part.QUEUE_ATTRIBUTES in now
    for name, value in given["Attributes"].items():
        assert isinstance(value, str)
        document = json.loads(value) if name.endswith("Policy") and value else value
        if name == "Policy":
            now[Part.QUEUE_POLICY if queue else Part.TOPIC_POLICY] = document or None
        elif not queue:
            now[Part.TOPIC_KEY] = value
        elif value:
            now[Part.QUEUE_ATTRIBUTES][name] = document
        else:
            now[Part.QUEUE_ATTRIBUTES].pop(name, None)


TEXT = st.sampled_from(["", "one", "another"])
POLICIES = st.sampled_from([{"Statement": []}, {"Statement": [{"Effect": "Deny"}]}])
TRAILS = st.fixed_dictionaries(
    {
        Part.TRAIL_SETTINGS: st.fixed_dictionaries(
            dict.fromkeys(DESTINATIONS, TEXT) | dict.fromkeys(SWITCHES, st.booleans())
        ),
        Part.TRAIL_SELECTORS: st.sampled_from([EVERYTHING, NOT_KMS, READS_ONLY, WRITES_ONLY]),
        Part.TRAIL_LOGGING: st.booleans(),
    }
)
TARGETS = st.dictionaries(st.sampled_from("abcdefg"), TEXT, max_size=MOST_TARGETS).map(
    lambda found: {name: {"Id": name, "Arn": f"arn:{value}"} for name, value in found.items()}
)
RULES = st.fixed_dictionaries(
    {
        Part.RULE_PATTERN: st.sampled_from([WIDE, NARROW, EVEN_WIDER]).map(
            lambda pattern: {"EventPattern": pattern}
        ),
        Part.RULE_STATE: st.sampled_from(STATES),
        Part.RULE_TARGETS: TARGETS,
    }
)
NUMBERS = st.sampled_from(["0", "60", "345600"])
QUEUES = st.fixed_dictionaries(
    {
        Part.QUEUE_POLICY: st.none() | POLICIES,
        Part.QUEUE_ATTRIBUTES: st.fixed_dictionaries(
            {
                "MessageRetentionPeriod": NUMBERS,
                "VisibilityTimeout": NUMBERS,
                "DelaySeconds": NUMBERS,
                "MaximumMessageSize": NUMBERS,
                "SqsManagedSseEnabled": st.sampled_from(["true", "false"]),
            },
            optional={
                "KmsMasterKeyId": st.sampled_from(["one", "another"]),
                "RedrivePolicy": st.sampled_from([{"maxReceiveCount": 1}, {"maxReceiveCount": 5}]),
            },
        ),
    }
)
TOPICS = st.fixed_dictionaries({Part.TOPIC_POLICY: POLICIES, Part.TOPIC_KEY: TEXT})
PAIRS = st.one_of(
    st.tuples(st.just(TRAIL), TRAILS | st.just({}), TRAILS),
    st.tuples(st.just(RULE), RULES | st.just({}), RULES),
    st.tuples(st.just(QUEUE), QUEUES, QUEUES),
    st.tuples(st.just(TOPIC), TOPICS, TOPICS),
)


@settings(max_examples=300)
@given(PAIRS)
def test_carried_out_it_ends_as_it_should_be(given_pair: tuple[Resource, Any, Any]) -> None:
    resource, live, right = given_pair
    steps = plan(resource, live, right)
    assert not steps.impossible
    after = carried_out(live, steps.calls)
    assert plan(resource, after, right).nothing_to_do
    if not live:
        assert after.keys() == right.keys()


@given(PAIRS)
def test_what_is_not_worse_stays_as_it_is(given_pair: tuple[Resource, Any, Any]) -> None:
    resource, live, right = given_pair
    after = carried_out(live, plan(resource, live, right).calls)
    for part in live:
        alone = plan(resource, live, {part: right[part]}, [part])
        if alone.nothing_to_do:
            assert after[part] == live[part]


@given(PAIRS, st.sets(st.sampled_from(Part)))
def test_only_the_parts_that_are_named_are_touched(
    given_pair: tuple[Resource, Any, Any], parts: set[Part]
) -> None:
    resource, live, right = given_pair
    if not live:
        return
    after = carried_out(live, plan(resource, live, right, parts).calls)
    assert {part for part in live if after[part] != live[part]} <= parts


@given(PAIRS)
def test_what_is_right_is_kept_as_a_text_and_read_again(
    given_pair: tuple[Resource, Any, Any],
) -> None:
    _, _, right = given_pair
    assert parsed(written(right)) == right


@pytest.mark.parametrize(
    ("live", "right", "less"),
    [
        (NOT_KMS, EVERYTHING, True),
        (READS_ONLY, EVERYTHING, True),
        (WRITES_ONLY, EVERYTHING, True),
        (EVERYTHING, NOT_KMS, False),
        (WRITES_ONLY, READS_ONLY, True),
        ({}, EVERYTHING, True),
        (None, EVERYTHING, True),
        ({"EventSelectors": [ALL, ALL]}, EVERYTHING, False),
    ],
)
def test_selectors_that_see_less(live: Any, right: Any, less: bool) -> None:
    assert sees_less(live, right) is less


TRAIL_RIGHT: dict[Part, Any] = {
    Part.TRAIL_SETTINGS: {"S3BucketName": "logs", "IsMultiRegionTrail": True},
    Part.TRAIL_SELECTORS: EVERYTHING,
    Part.TRAIL_LOGGING: True,
}
RULE_RIGHT: dict[Part, Any] = {
    Part.RULE_PATTERN: {"EventPattern": WIDE},
    Part.RULE_STATE: "ENABLED",
    Part.RULE_TARGETS: {"queue": {"Id": "queue", "Arn": "arn:queue"}},
}


def names(resource: Resource, live: Any, right: Any, parts: Any = tuple(Part)) -> list[str]:
    return [call.name for call in plan(resource, live, right, parts).calls]


def test_what_ends_the_dark_soonest_comes_first() -> None:
    live = TRAIL_RIGHT | {
        Part.TRAIL_SETTINGS: {"S3BucketName": "mine", "IsMultiRegionTrail": False},
        Part.TRAIL_SELECTORS: NOT_KMS,
        Part.TRAIL_LOGGING: False,
    }
    wanted = ["StartLogging", "PutEventSelectors", "UpdateTrail"]
    assert names(TRAIL, live, TRAIL_RIGHT) == wanted


def test_what_does_not_exist_any_more() -> None:
    wanted = ["CreateTrail", "StartLogging", "PutEventSelectors"]
    assert names(TRAIL, {}, TRAIL_RIGHT) == wanted
    assert plan(TRAIL, {}, TRAIL_RIGHT, [Part.TRAIL_LOGGING]).impossible
    assert names(RULE, {}, RULE_RIGHT) == ["PutRule", "PutTargets"]
    assert plan(RULE, {}, RULE_RIGHT, [Part.RULE_STATE]).impossible
    assert plan(QUEUE, {}, {Part.QUEUE_POLICY: None}).impossible
    assert plan(TOPIC, {}, {Part.TOPIC_KEY: ""}).impossible
    # A queue that is gone is nothing to us if nothing of it may be put back.
    assert plan(QUEUE, {}, {Part.QUEUE_POLICY: None}, [Part.RULE_STATE]).nothing_to_do


def test_a_rule_that_is_better_stays() -> None:
    wider = {Part.RULE_PATTERN: {"EventPattern": EVEN_WIDER}, Part.RULE_STATE: STATES[2]}
    assert names(RULE, RULE_RIGHT | wider, RULE_RIGHT) == []
    stranger = {"x": {"Id": "x", "Arn": "arn:x"}}
    targets = RULE_RIGHT[Part.RULE_TARGETS] | stranger
    assert names(RULE, RULE_RIGHT | {Part.RULE_TARGETS: targets}, RULE_RIGHT) == []


@pytest.mark.parametrize(
    "pattern",
    [
        {"EventPattern": NARROW},
        {"EventPattern": {"source": []}},
        {"EventPattern": {"detail": {"userIdentity": {"arn": [{"anything-but": "x"}]}}}},
        {"ScheduleExpression": "rate(1 day)"},
        {},
    ],
)
def test_a_pattern_that_lets_less_through(pattern: dict[str, Any]) -> None:
    assert names(RULE, RULE_RIGHT | {Part.RULE_PATTERN: pattern}, RULE_RIGHT) == ["PutRule"]


def test_a_narrowed_rule_does_not_lose_a_better_state() -> None:
    live = RULE_RIGHT | {
        Part.RULE_PATTERN: {"EventPattern": NARROW},
        Part.RULE_STATE: STATES[2],
    }
    (call,) = plan(RULE, live, RULE_RIGHT).calls
    assert call.parameters["State"] == STATES[2]


def test_a_rule_that_is_narrowed_and_disabled_is_written_once() -> None:
    worse = {Part.RULE_PATTERN: {"EventPattern": NARROW}, Part.RULE_STATE: "DISABLED"}
    (call,) = plan(RULE, RULE_RIGHT | worse, RULE_RIGHT).calls
    assert (call.name, call.parameters["State"]) == ("PutRule", "ENABLED")


def test_as_many_strangers_go_as_there_must() -> None:
    """Two of ours are gone, and five of theirs are there."""
    ours = {name: {"Id": name, "Arn": f"arn:{name}"} for name in ("one", "two")}
    theirs = {f"x{number}": {"Id": f"x{number}", "Arn": "arn:x"} for number in range(5)}
    live, right = ({Part.RULE_TARGETS: found} for found in (theirs, ours))
    remove, put = plan(RULE, RULE_RIGHT | live, RULE_RIGHT | right).calls
    assert remove.parameters["Ids"] == ["x0", "x1"]
    assert [one["Id"] for one in put.parameters["Targets"]] == ["one", "two"]


@pytest.mark.parametrize(
    ("resource", "found", "why"),
    [
        (TRAIL, TRAIL_RIGHT, ""),
        (TRAIL, TRAIL_RIGHT | {Part.TRAIL_LOGGING: False}, "does not log"),
        (TRAIL, TRAIL_RIGHT | {Part.TRAIL_SELECTORS: NOT_KMS}, "leave out"),
        (RULE, RULE_RIGHT, ""),
        (RULE, RULE_RIGHT | {Part.RULE_STATE: "DISABLED"}, "disabled"),
        (RULE, RULE_RIGHT | {Part.RULE_TARGETS: {}}, "no target"),
        (QUEUE, {Part.QUEUE_POLICY: None, Part.QUEUE_ATTRIBUTES: {}}, ""),
        (QUEUE, {Part.QUEUE_POLICY: {"Statement": []}, Part.QUEUE_ATTRIBUTES: {}}, "nobody"),
        (TOPIC, {Part.TOPIC_POLICY: None, Part.TOPIC_KEY: ""}, ""),
        (TRAIL, {}, "does not exist"),
    ],
)
def test_what_cannot_be_how_it_should_be(resource: Resource, found: Any, why: str) -> None:
    problem = bad(resource, found)
    assert why in problem
    assert bool(problem) is bool(why)


@pytest.mark.parametrize(
    "arn",
    [
        "",
        "arn:aws:s3:::bucket",
        f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/*",
        f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:eventdatastore/x",
        f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default",
        f"arn:aws:sns:{REGION}:{ACCOUNT}:topic:0a1b2c3d",
        f"arn:aws:sqs:{REGION}::kms",
        f"arn:aws:sqs::{ACCOUNT}:kms",
    ],
)
def test_what_is_no_resource_that_can_be_put_back(arn: str) -> None:
    assert Resource.parse(arn) is None


def test_a_rule_on_a_bus() -> None:
    found = Resource.parse(f"arn:aws:events:{REGION}:{ACCOUNT}:rule/security/kms")
    assert found is not None
    assert (found.bus, found.name) == ("security", "kms")
