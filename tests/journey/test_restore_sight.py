"""Whoever takes our sight finds it put back: trails, rules, queues and topics, and people told."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from monitor.simulator.server import Simulator
from monitor.simulator.words import Caller
from tests.journey.conftest import ACCOUNT, REGION, daemon, settings_for, until, wrap
from tests.journey.scene import Scene, night, rule_name
from tests.journey.test_inventory import FAR, OTHER, far

TRAIL = f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/kms-monitor"
SEEN_BY = ("cloudtrail", "events", "sqs", "sns")
QUICK: dict[str, Any] = {
    "doubt_seconds": 0.5,
    "look_seconds": 600,
    "history_seconds": 2,
    "settle_seconds": 8,
}
"""Looks come so seldom that it is the message that leads to the repair."""
LOOKING = QUICK | {"look_seconds": 0.3, "grace_seconds": 0}


@asynccontextmanager
async def guarded(
    simulator: Simulator, tmp_path: Path, options: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[Scene]:
    """A daemon that puts its sight back, once it knows how everything should be."""
    responders = {
        "restore_sight": QUICK if options is None else options,
        "sns": {"topic_arn": simulator.topic_arn},
    }
    changes = {"mode": "enforce", "responders": responders} | settings
    async with night(simulator, tmp_path, *SEEN_BY, **changes) as scene:
        await until(lambda: len(taken(scene)) > 9 and any("dlq" in one for one in taken(scene)))
        await until(lambda: any(":sns:" in one for one in taken(scene)))
        yield scene


def taken(scene: Scene) -> list[str]:
    return [one["resource"] for one in scene.lines if one["event"] == "baseline taken"]


def outcomes(scene: Scene, responder: str = "restore_sight") -> list[tuple[str, str]]:
    """What the repairs came to, in order, with a detail."""
    return [
        (one["outcome"], one["detail"])
        for one in scene.lines
        if one["event"] == "action" and one["responder"] == responder
    ]


def sent(simulator: Simulator, call: str, times: int) -> bool:
    return written(simulator).count(call) == times


def ended_times(scene: Scene, times: int) -> bool:
    return len(outcomes(scene)) == times


def drifted(scene: Scene, times: int) -> bool:
    return scene.told()["sight_drifted", "critical"] >= times


async def ended(scene: Scene, outcome: str, detail: str = "", seconds: float = 15) -> None:
    """Some repair came to this end, and its notification went out."""

    def there() -> bool:
        return any(one == outcome and detail in text for one, text in outcomes(scene))

    try:
        await until(there, seconds)
    except TimeoutError:
        raise AssertionError(f"{outcome} {detail!r} expected, not {outcomes(scene)}") from None


def written(simulator: Simulator) -> list[str]:
    """The writing calls of the daemon that could change what it sees by."""
    sources = {f"{service}.amazonaws.com" for service in ("cloudtrail", "events", "sqs", "sns")}
    return [
        one["eventName"]
        for one in simulator.records
        if one["eventSource"] in sources
        and one["userIdentity"].get("userName") == "kms-monitor"
        and not one["readOnly"]
        and one["eventName"] not in {"Publish", "DeleteMessage", "ReceiveMessage"}
        and not one["eventName"].startswith(("DeleteMessage", "ChangeMessage", "Get", "List"))
    ]


async def notification(scene: Scene, sqs: Any, words: str) -> dict[str, Any]:
    """The first message that people got whose subject has these words."""
    async with asyncio.timeout(15):
        while True:
            answer = await sqs.receive_message(
                QueueUrl=scene.simulator.topic_queue_url, WaitTimeSeconds=1, MaxNumberOfMessages=10
            )
            for one in answer.get("Messages", ()):
                found = json.loads(one["Body"])
                if words in found["Subject"]:
                    return dict(found)


async def test_a_stopped_trail_logs_again_and_people_are_told(
    simulator: Simulator, tmp_path: Path, sqs: Any
) -> None:
    async with guarded(simulator, tmp_path) as scene:
        trails = scene.mallory.cloudtrail
        await trails.stop_logging(Name="kms-monitor")
        await ended(scene, "done", "StartLogging; verified")
        assert (await trails.get_trail_status(Name="kms-monitor"))["IsLogging"]
        told = await notification(scene, sqs, "put back")
        assert "trail" in told["Subject"]
        assert "StartLogging" in told["Message"]
        await asyncio.sleep(1)
        # Our own call is no news, and leads to no further one.
        assert written(simulator) == ["StartLogging"]
        assert [one for one, _ in outcomes(scene)] == ["done"]


async def test_selectors_that_drop_kms(simulator: Simulator, tmp_path: Path) -> None:
    async with guarded(simulator, tmp_path) as scene:
        trails = scene.mallory.cloudtrail
        before = await trails.get_event_selectors(TrailName="kms-monitor")
        selector = {"IncludeManagementEvents": True, "ReadWriteType": "All"}
        not_kms = selector | {"ExcludeManagementEventSources": ["kms.amazonaws.com"]}
        await trails.put_event_selectors(TrailName="kms-monitor", EventSelectors=[not_kms])
        await ended(scene, "done", "PutEventSelectors; verified")
        after = await trails.get_event_selectors(TrailName="kms-monitor")
        assert after["EventSelectors"] == before["EventSelectors"]


async def test_a_trail_is_turned_elsewhere_and_then_deleted(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with guarded(simulator, tmp_path) as scene:
        trails = scene.mallory.cloudtrail
        (before,) = (await trails.describe_trails())["trailList"]
        await trails.update_trail(Name="kms-monitor", S3BucketName="mine")
        await ended(scene, "done", "UpdateTrail; verified")
        await trails.delete_trail(Name="kms-monitor")
        await ended(scene, "done", "CreateTrail, StartLogging, PutEventSelectors; verified")
        (after,) = (await trails.describe_trails())["trailList"]
        assert after == before
        assert (await trails.get_trail_status(Name="kms-monitor"))["IsLogging"]


async def test_rules_are_put_back(simulator: Simulator, tmp_path: Path) -> None:
    name = rule_name("kms.amazonaws.com DisableKey")
    async with guarded(simulator, tmp_path) as scene:
        events = scene.mallory.events
        before = await events.describe_rule(Name=name)
        targets = await events.list_targets_by_rule(Rule=name)
        await events.disable_rule(Name=name)
        await ended(scene, "done", "EnableRule; verified")
        narrow = {"source": ["aws.kms"], "detail": {"eventName": ["EnableKey"]}}
        await events.put_rule(Name=name, EventPattern=json.dumps(narrow))
        await ended(scene, "done", "PutRule; verified")
        await events.remove_targets(Rule=name, Ids=["queue"])
        await ended(scene, "done", "PutTargets; verified")
        await events.remove_targets(Rule=name, Ids=["queue"])
        await until(lambda: [one for one, _ in outcomes(scene)].count("done") == 4)
        await events.remove_targets(Rule=name, Ids=["queue"])
        await events.delete_rule(Name=name)
        await ended(scene, "done", "PutRule, PutTargets; verified")
        for whole in (before, targets):
            whole.pop("ResponseMetadata")
        after = await events.describe_rule(Name=name)
        assert json.loads(after["EventPattern"]) == json.loads(before["EventPattern"])
        assert (after["State"], after["Arn"]) == (before["State"], before["Arn"])
        left = await events.list_targets_by_rule(Rule=name)
        assert left["Targets"] == targets["Targets"]


async def test_strangers_make_room_for_our_target(simulator: Simulator, tmp_path: Path) -> None:
    name = rule_name("kms.amazonaws.com DisableKey")
    theirs = [
        {"Id": f"x{number}", "Arn": f"arn:aws:sqs:{REGION}:999988887777:theirs{number}"}
        for number in range(5)
    ]
    async with guarded(simulator, tmp_path, LOOKING) as scene:
        events = scene.mallory.events
        simulator.set_knob("deny", ("kms-monitor:events:PutTargets", "kms-monitor:events:Remove*"))
        await events.remove_targets(Rule=name, Ids=["queue"])
        await events.put_targets(Rule=name, Targets=theirs)
        simulator.set_knob("deny", ())

        async def back() -> bool:
            found = await events.list_targets_by_rule(Rule=name)
            return "queue" in {one["Id"] for one in found["Targets"]}

        await until(back, 20)
        found = await events.list_targets_by_rule(Rule=name)
        assert len(found["Targets"]) == 5


async def test_what_keeps_its_own_message_from_us_is_seen_by_the_next_look(
    simulator: Simulator, tmp_path: Path
) -> None:
    name = rule_name("events.amazonaws.com DisableRule")
    async with guarded(simulator, tmp_path, LOOKING) as scene:
        root = Caller(account=ACCOUNT, arn=f"arn:aws:iam::{ACCOUNT}:root")
        for again in (1, 2):
            simulator.bridge.call(
                "DisableRule", {"Name": name}, caller=root, account=ACCOUNT, region=REGION
            )
            await until(partial(drifted, scene, again), 15)
            await until(partial(sent, simulator, "EnableRule", again))
        state = (await scene.mallory.events.describe_rule(Name=name))["State"]
        assert state.startswith("ENABLED")


async def test_a_queue_gets_its_policy_and_attributes_back(
    simulator: Simulator, tmp_path: Path, sqs: Any
) -> None:
    url = simulator.queue_url
    policy = json.dumps({"Version": "2012-10-17", "Statement": [SENDERS]})
    await sqs.set_queue_attributes(
        QueueUrl=url, Attributes={"Policy": policy, "MessageRetentionPeriod": "1209600"}
    )
    async with guarded(simulator, tmp_path) as scene:
        queue = scene.mallory.sqs
        await queue.set_queue_attributes(QueueUrl=url, Attributes={"Policy": ""})
        await ended(scene, "done", "SetQueueAttributes; verified")
        await queue.set_queue_attributes(
            QueueUrl=url, Attributes={"MessageRetentionPeriod": "60", "KmsMasterKeyId": "alias/x"}
        )
        await ended(scene, "done", "SetQueueAttributes, SetQueueAttributes")
        names = ["Policy", "MessageRetentionPeriod", "KmsMasterKeyId"]
        answer = await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)
        assert json.loads(answer["Attributes"]["Policy"]) == json.loads(policy)
        assert answer["Attributes"]["MessageRetentionPeriod"] == "1209600"
        assert not answer["Attributes"].get("KmsMasterKeyId")


SENDERS = {
    "Effect": "Allow",
    "Principal": {"Service": "events.amazonaws.com"},
    "Action": "sqs:SendMessage",
    "Resource": f"arn:aws:sqs:{REGION}:{ACCOUNT}:kms-monitor",
}


async def test_a_topic_gets_its_policy_back(simulator: Simulator, tmp_path: Path) -> None:
    async with guarded(simulator, tmp_path) as scene:
        topics, arn = scene.mallory.sns, simulator.topic_arn
        before = (await topics.get_topic_attributes(TopicArn=arn))["Attributes"]["Policy"]
        everybody = {"Effect": "Allow", "Principal": "*", "Action": "sns:*", "Resource": arn}
        public = json.dumps({"Version": "2012-10-17", "Statement": [everybody]})
        await topics.set_topic_attributes(
            TopicArn=arn, AttributeName="Policy", AttributeValue=public
        )
        await ended(scene, "done", "SetTopicAttributes; verified")
        after = (await topics.get_topic_attributes(TopicArn=arn))["Attributes"]["Policy"]
        assert json.loads(after) == json.loads(before)


async def test_an_approved_actor_may_change_it(simulator: Simulator, tmp_path: Path) -> None:
    name = rule_name("kms.amazonaws.com DisableKey")
    admin = [f"arn:aws:iam::{ACCOUNT}:user/admin"]
    async with guarded(simulator, tmp_path, LOOKING, approved_actors=admin) as scene:
        await scene.admin.events.disable_rule(Name=name)
        await ended(scene, "done", "DisableRule is now right for the rule")
        spare = f"arn:aws:sqs:{REGION}:{ACCOUNT}:kms-monitor-dlq"
        target = {"Id": "queue", "Arn": spare}
        await scene.admin.events.put_targets(Rule=name, Targets=[target])
        await ended(scene, "done", "PutTargets is now right for the rule")
        await asyncio.sleep(1.5)
        assert (await scene.admin.events.describe_rule(Name=name))["State"] == "DISABLED"
        # What somebody else does to it is put back to what was approved.
        await scene.admin.events.enable_rule(Name=name)
        await ended(scene, "done", "EnableRule is now right for the rule")
        await scene.mallory.events.disable_rule(Name=name)
        await ended(scene, "done", "EnableRule; verified")
        left = (await scene.admin.events.list_targets_by_rule(Rule=name))["Targets"]
        assert left == [target]


async def test_no_look_undoes_what_the_history_is_slow_to_confirm(
    simulator: Simulator, tmp_path: Path
) -> None:
    name = rule_name("kms.amazonaws.com DisableKey")
    admin = [f"arn:aws:iam::{ACCOUNT}:user/admin"]
    patient = LOOKING | {"grace_seconds": 2, "history_seconds": 60}
    async with guarded(simulator, tmp_path, patient, approved_actors=admin) as scene:
        simulator.set_knob("history_delay_seconds", 6.0)
        await scene.admin.events.disable_rule(Name=name)
        await ended(scene, "retry", "does not have the event yet")
        await ended(scene, "done", "DisableRule is now right for the rule", 40)
        assert (await scene.admin.events.describe_rule(Name=name))["State"] == "DISABLED"
        assert written(simulator) == []


async def test_a_forged_approval_moves_nothing(simulator: Simulator, tmp_path: Path) -> None:
    admin = f"arn:aws:iam::{ACCOUNT}:user/admin"
    async with guarded(simulator, tmp_path, approved_actors=[admin]) as scene:
        await scene.mallory.cloudtrail.stop_logging(Name="kms-monitor")
        await ended(scene, "done", "StartLogging; verified")
        record = next(one for one in simulator.records if one["eventName"] == "StopLogging")
        forged = json.loads(json.dumps(record))
        forged["eventID"] = "99999999-bbbb-4bbb-8bbb-000000000001"
        forged["userIdentity"] |= {"arn": admin, "userName": "admin"}
        await scene.mallory.sqs.send_message(QueueUrl=simulator.queue_url, MessageBody=body(forged))
        await ended(scene, "retry", "does not have the event yet")
        assert written(simulator) == ["StartLogging"]


def body(record: dict[str, Any]) -> str:
    """As EventBridge sends it."""
    event = json.loads(wrap(record))
    source = record["eventSource"].partition(".")[0]
    return json.dumps(event | {"source": f"aws.{source}"})


async def test_observe_writes_nothing(simulator: Simulator, tmp_path: Path, sqs: Any) -> None:
    async with guarded(simulator, tmp_path, mode="observe") as scene:
        await scene.mallory.cloudtrail.stop_logging(Name="kms-monitor")
        await ended(scene, "would", "would call StartLogging")
        told = await notification(scene, sqs, "would be undone")
        assert told["Subject"].startswith("[DRY RUN]")
        status = await scene.mallory.cloudtrail.get_trail_status(Name="kms-monitor")
        assert not status["IsLogging"]
        assert written(simulator) == []


async def test_a_denied_repair_is_told_and_ends_as_a_dead_letter(
    simulator: Simulator, tmp_path: Path, sqs: Any
) -> None:
    dead_letters = f"arn:aws:sqs:{REGION}:{ACCOUNT}:kms-monitor-dlq"
    redrive = json.dumps({"deadLetterTargetArn": dead_letters, "maxReceiveCount": 1})
    await sqs.set_queue_attributes(
        QueueUrl=simulator.queue_url, Attributes={"RedrivePolicy": redrive}
    )
    async with guarded(simulator, tmp_path) as scene:
        simulator.set_knob("deny", ("kms-monitor:cloudtrail:StartLogging",))
        await scene.mallory.cloudtrail.stop_logging(Name="kms-monitor")
        await ended(scene, "denied", "cloudtrail:StartLogging")
        told = await notification(scene, sqs, "REPAIR DENIED")
        assert "StartLogging" in told["Message"]

        async def dead() -> bool:
            names = ["ApproximateNumberOfMessages"]
            answer = await sqs.get_queue_attributes(
                QueueUrl=simulator.dlq_url, AttributeNames=names
            )
            return int(answer["Attributes"][names[0]]) > 0

        await until(dead, 50)


async def test_an_old_message_that_is_replayed_writes_nothing(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with guarded(simulator, tmp_path) as scene:
        await scene.mallory.cloudtrail.stop_logging(Name="kms-monitor")
        await ended(scene, "done", "StartLogging; verified")
        record = next(one for one in simulator.records if one["eventName"] == "StopLogging")
        again = record | {"eventID": "99999999-bbbb-4bbb-8bbb-000000000002"}
        await scene.mallory.sqs.send_message(QueueUrl=simulator.queue_url, MessageBody=body(again))
        await ended(scene, "already", "the trail is as it should be")
        assert written(simulator) == ["StartLogging"]


async def test_a_fight_ends(simulator: Simulator, tmp_path: Path, sqs: Any) -> None:
    async with guarded(simulator, tmp_path, QUICK | {"repairs_per_hour": 2}) as scene:
        trails = scene.mallory.cloudtrail
        for number in (1, 2):
            await trails.stop_logging(Name="kms-monitor")
            await until(partial(sent, simulator, "StartLogging", number))
            await until(partial(ended_times, scene, number))
        await trails.stop_logging(Name="kms-monitor")
        await ended(scene, "refused", "contested: it was put back 2 times")
        await notification(scene, sqs, "CANNOT BE UNDONE")
        assert written(simulator) == ["StartLogging"] * 2


async def test_what_was_bad_when_first_seen_is_told_and_not_taken_for_right(
    simulator: Simulator, tmp_path: Path
) -> None:
    responders = {"restore_sight": LOOKING, "sns": {"topic_arn": simulator.topic_arn}}

    async def stop(scene: Scene) -> None:
        async with asyncio.timeout(5):
            await scene.admin.cloudtrail.stop_logging(Name="kms-monitor")

    settings: dict[str, Any] = {"mode": "enforce", "responders": responders}
    async with night(simulator, tmp_path, *SEEN_BY, prepare=stop, **settings) as scene:
        await until(lambda: scene.told()["sight_drifted", "high"] == 1)
        assert TRAIL not in taken(scene)
        await scene.admin.cloudtrail.start_logging(Name="kms-monitor")
        await until(lambda: TRAIL in taken(scene))
        assert written(simulator) == []


@pytest.mark.parametrize("parts", [["rule_state"], ["trail_selectors"]])
async def test_what_is_not_named_among_the_parts_is_told_only(
    simulator: Simulator, tmp_path: Path, parts: list[str]
) -> None:
    async with guarded(simulator, tmp_path, QUICK | {"parts": parts}) as scene:
        await scene.mallory.cloudtrail.stop_logging(Name="kms-monitor")
        await ended(scene, "already", "not among the `parts`")
        assert written(simulator) == []


async def test_a_rule_of_a_member_account_is_put_back_through_its_role(
    simulator: Simulator, tmp_path: Path
) -> None:
    bus = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default"
    far(simulator, "PutTargets", Rule="kms-monitor", Targets=[{"Id": "central", "Arn": bus}])
    role = f"arn:aws:iam::{OTHER}:role/kms-monitor"
    settings = settings_for(
        simulator,
        tmp_path,
        accounts=[
            {"id": ACCOUNT, "regions": [REGION]},
            {"id": OTHER, "regions": [FAR], "role_arn": role},
        ],
        responders={"restore_sight": LOOKING},
        watched={},
    )
    place = (OTHER, FAR, "default")

    def state() -> str:
        return str(simulator.bridge._rules(place)["kms-monitor"].settings["State"])

    with capture_logs() as lines:
        async with daemon(settings):
            await until(lambda: any(OTHER in one.get("resource", "") for one in lines), 20)
            far(simulator, "DisableRule", Name="kms-monitor")
            assert state() == "DISABLED"
            await until(lambda: state() == "ENABLED")
    (record,) = [one for one in simulator.records if one["eventName"] == "EnableRule"]
    assert record["recipientAccountId"] == OTHER
    assert record["userIdentity"]["sessionContext"]["sessionIssuer"]["arn"] == role
