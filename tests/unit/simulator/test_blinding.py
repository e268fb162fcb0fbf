"""From a call to the queue: what lets an event through and what stops it."""

import asyncio
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from monitor.simulator.words import ServiceEvent
from tests.unit.simulator.site import Site

NAME = "kms-monitor"


async def strike(site: Site) -> list[str]:
    """Disable a key and tell which events arrive."""
    arn = await site.new_key()
    await (await site.client("kms")).disable_key(KeyId=arn)
    return await site.names()


async def test_a_stopped_trail_stops_events_but_not_the_history(site: Site) -> None:
    trail = await site.client("cloudtrail")
    await trail.stop_logging(Name=NAME)
    assert await strike(site) == []
    found = await trail.lookup_events(
        LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": "DisableKey"}]
    )
    assert [event["Username"] for event in found["Events"]] == ["admin"]
    assert (await trail.get_trail_status(Name=NAME))["IsLogging"] is False
    await trail.start_logging(Name=NAME)
    assert await strike(site) == ["DisableKey"]


async def test_stop_logging_itself_is_still_seen(site: Site) -> None:
    events = await site.client("events")
    pattern = json.dumps({"source": ["aws.cloudtrail"]})
    await events.put_rule(Name=NAME, EventPattern=pattern)
    trail = await site.client("cloudtrail")
    await trail.stop_logging(Name=NAME)
    await trail.update_trail(Name=NAME, S3BucketName="elsewhere")
    (event,) = await site.arrived()
    assert event["detail"]["eventName"] == "StopLogging"
    assert event["detail"]["requestParameters"] == {"name": NAME}


@pytest.mark.parametrize(
    "selectors",
    [
        {"EventSelectors": [{"ExcludeManagementEventSources": ["kms.amazonaws.com"]}]},
        {"EventSelectors": [{"IncludeManagementEvents": False}]},
        {"EventSelectors": [{"ReadWriteType": "ReadOnly"}]},
        {
            "AdvancedEventSelectors": [
                {
                    "FieldSelectors": [
                        {"Field": "eventCategory", "Equals": ["Management"]},
                        {"Field": "eventSource", "NotEquals": ["kms.amazonaws.com"]},
                    ]
                }
            ]
        },
    ],
)
async def test_selectors_that_leave_kms_out(site: Site, selectors: dict[str, Any]) -> None:
    trail = await site.client("cloudtrail")
    await trail.put_event_selectors(TrailName=NAME, **selectors)
    record = site.sim.records[-1]
    assert record["requestParameters"]["trailName"] == NAME
    assert record["responseElements"]["trailARN"].endswith(NAME)
    assert await strike(site) == []
    everything = [{"ReadWriteType": "All", "IncludeManagementEvents": True}]
    await trail.put_event_selectors(TrailName=NAME, EventSelectors=everything)
    assert await strike(site) == ["DisableKey"]


async def test_a_disabled_or_deleted_rule(site: Site) -> None:
    events = await site.client("events")
    await events.disable_rule(Name=NAME)
    assert await strike(site) == []
    await events.enable_rule(Name=NAME)
    assert await strike(site) == ["DisableKey"]
    with pytest.raises(ClientError, match="since it has targets"):
        await events.delete_rule(Name=NAME)
    targets = (await events.list_targets_by_rule(Rule=NAME))["Targets"]
    await events.remove_targets(Rule=NAME, Ids=[targets[0]["Id"]])
    assert await strike(site) == []
    await events.put_targets(Rule=NAME, Targets=targets)
    assert await strike(site) == ["DisableKey"]
    await events.remove_targets(Rule=NAME, Ids=[targets[0]["Id"]])
    await events.delete_rule(Name=NAME)
    assert await strike(site) == []


async def test_a_second_trail_keeps_the_events_coming(site: Site) -> None:
    trail = await site.client("cloudtrail")
    await trail.create_trail(Name="second", S3BucketName="bucket")
    await trail.stop_logging(Name=NAME)
    assert await strike(site) == []
    await trail.start_logging(Name="second")
    assert await strike(site) == ["DisableKey"]
    with pytest.raises(ClientError, match="TrailAlreadyExists"):
        await trail.create_trail(Name="second", S3BucketName="bucket")
    await trail.delete_trail(Name="second")
    with pytest.raises(ClientError, match=r"TrailNotFoundException.*Unknown trail: second"):
        await trail.get_trail(Name="second")


async def test_a_trail_is_changed_only_at_home(site: Site) -> None:
    trail = await site.client("cloudtrail", region="us-east-1")
    assert [one["HomeRegion"] for one in (await trail.describe_trails())["trailList"]] == [
        "eu-west-1"
    ]
    assert (await trail.describe_trails(includeShadowTrails=False))["trailList"] == []
    with pytest.raises(ClientError, match="InvalidHomeRegionException"):
        await trail.stop_logging(Name=NAME)


async def test_read_only_events_need_a_state_of_their_own(site: Site) -> None:
    events = await site.client("events")
    rule = {"Name": NAME, "EventPattern": json.dumps({"source": ["aws.kms"]})}
    await events.put_rule(**rule)
    arn = await site.new_key()
    kms = await site.client("kms")
    await kms.describe_key(KeyId=arn)
    assert await site.names() == ["CreateKey"]
    await events.put_rule(**rule, State="ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS")
    await kms.describe_key(KeyId=arn)
    assert await site.names() == ["DescribeKey"]


async def test_duplicates_have_the_same_event_id(site: Site) -> None:
    site.sim.set_knob("duplicates", 1.0)
    arn = await site.new_key()
    await (await site.client("kms")).disable_key(KeyId=arn)
    first, second = await site.arrived()
    assert first["detail"]["eventID"] == second["detail"]["eventID"]


async def test_delay(site: Site) -> None:
    site.sim.set_knob("delay", (0.3, 0.3))
    arn = await site.new_key()
    started = asyncio.get_running_loop().time()
    await (await site.client("kms")).disable_key(KeyId=arn)
    await site.sim.settle()
    assert asyncio.get_running_loop().time() - started >= 0.3


async def test_disorder(site: Site) -> None:
    site.sim.set_knob("disorder", 0.5)
    kms = await site.client("kms")
    arns = [await site.new_key() for _ in range(8)]
    for arn in arns:
        await kms.disable_key(KeyId=arn)
    arrived = [event["detail"]["requestParameters"]["keyId"] for event in await site.arrived()]
    assert sorted(arrived) == sorted(arns)
    assert arrived != arns


async def test_what_kms_does_by_itself(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    events = await site.client("events")
    await events.put_rule(Name=NAME, EventPattern=json.dumps({"source": ["aws.kms"]}))
    arn = "arn:aws:kms:eu-west-1:111122223333:key/gone"
    gone = ServiceEvent(
        event_name="DeleteKey",
        account="111122223333",
        region="eu-west-1",
        key_arn=arn,
        happened_at=0.0,
        response_elements={"keyId": arn},
    )
    # The simulator ticks by itself as well: whoever comes first finds it, and nobody a second time.
    found: list[ServiceEvent] = []
    monkeypatch.setattr(site.sim.kms, "tick", lambda: [found.pop()] if found else [])
    found.append(gone)
    site.sim.tick()
    trailed, native = await site.arrived()
    assert trailed["detail-type"] == "AWS Service Event via CloudTrail"
    assert trailed["detail"]["eventName"] == "DeleteKey"
    assert native["detail-type"] == "KMS CMK Deletion"
    assert native["detail"] == {"key-id": "gone"}
    # KMS sends its own event whether a trail logs or not.
    await (await site.client("cloudtrail")).stop_logging(Name=NAME)
    found.append(gone)
    site.sim.tick()
    (native,) = await site.arrived()
    assert native["detail-type"] == "KMS CMK Deletion"


async def test_put_events_and_targets_of_every_kind(site: Site) -> None:
    events = await site.client("events")
    bus = (await events.create_event_bus(Name="second"))["EventBusArn"]
    pattern = json.dumps({"source": ["my.app"]})
    await events.put_rule(Name="forward", EventPattern=pattern)
    await events.put_targets(Rule="forward", Targets=[{"Id": "bus", "Arn": bus}])
    await events.put_rule(Name="receive", EventPattern=pattern, EventBusName="second")
    topic = {
        "Id": "topic",
        "Arn": site.sim.topic_arn,
        "InputTransformer": {
            "InputPathsMap": {"what": "$.detail.what", "n": "$.detail.list[1]"},
            "InputTemplate": '{"what": <what>, "n": <n>, "text": "<what> <nothing>"}',
        },
    }
    dlq_arn = site.sim.topic_arn.replace(":sns:", ":sqs:") + "-dlq"
    nowhere = {
        "Id": "nowhere",
        "Arn": dlq_arn + "-not",
        "InputPath": "$.detail",
        "DeadLetterConfig": {"Arn": dlq_arn},
    }
    await events.put_targets(Rule="receive", EventBusName="second", Targets=[topic, nowhere])
    answer = await events.put_events(
        Entries=[
            {"Source": "my.app", "DetailType": "x", "Detail": '{"what": "w", "list": [1, 2]}'},
            {"Source": "aws.kms", "DetailType": "x", "Detail": "{}"},
            {"Source": "my.app", "DetailType": "x", "Detail": "{"},
        ]
    )
    assert answer["FailedEntryCount"] == 2
    assert [one.get("ErrorCode") for one in answer["Entries"]] == [
        None,
        "NotAuthorizedForSourceException",
        "MalformedDetail",
    ]
    (notification,) = await site.arrived(site.sim.topic_queue_url)
    assert json.loads(notification["Message"]) == {"what": "w", "n": 2, "text": "w "}
    (lost,) = await site.arrived(site.sim.dlq_url)
    assert lost["detail"] == {"what": "w", "list": [1, 2]}
    assert all(record["eventName"] != "PutEvents" for record in site.sim.records)


async def test_rules_are_checked(site: Site) -> None:
    events = await site.client("events")
    with pytest.raises(ClientError, match=r"InvalidEventPatternException.*Reason: Empty arrays"):
        await events.put_rule(Name="x", EventPattern='{"source": []}')
    with pytest.raises(ClientError, match="Rule x does not exist on EventBus default"):
        await events.describe_rule(Name="x")
    envelope = {
        "id": "1",
        "account": "1",
        "source": "s",
        "time": "t",
        "region": "r",
        "resources": [],
        "detail-type": "d",
    }
    test = {"EventPattern": '{"source": [{"prefix": "s"}]}', "Event": json.dumps(envelope)}
    assert (await events.test_event_pattern(**test))["Result"] is True


async def test_the_history_is_paged_and_late(site: Site) -> None:
    for _ in range(3):
        await site.new_key()
    trail = await site.client("cloudtrail")
    lookup = {"LookupAttributes": [{"AttributeKey": "EventName", "AttributeValue": "CreateKey"}]}
    first = await trail.lookup_events(**lookup, MaxResults=2)
    rest = await trail.lookup_events(**lookup, MaxResults=2, NextToken=first["NextToken"])
    ids = [event["EventId"] for event in first["Events"] + rest["Events"]]
    made = [one["eventID"] for one in site.sim.records if one["eventName"] == "CreateKey"]
    assert ids == made[::-1]
    assert "NextToken" not in rest
    site.sim.set_knob("history_delay_seconds", 60)
    await site.new_key()
    assert len((await trail.lookup_events(**lookup))["Events"]) == 3
