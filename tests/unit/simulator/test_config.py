"""The simulated AWS Config: what it records, whom it asks, and which verdicts it takes."""

import asyncio
import json
import random
from typing import Any

import pytest

from monitor.simulator.config import Config
from monitor.simulator.kms import Kms
from monitor.simulator.words import Caller, Refusal

ACCOUNT, REGION = "111122223333", "eu-west-1"
ROOT = Caller(account=ACCOUNT, arn=f"arn:aws:iam::{ACCOUNT}:root")
FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:judge"


class World:
    def __init__(self) -> None:
        self.now = 1_795_166_043.0
        self.kms = Kms(now=lambda: self.now, rng=random.Random(1))
        self.config = Config(self.kms, now=lambda: self.now, rng=random.Random(1))
        self.asked: list[dict[str, Any]] = []
        self.emitted: list[dict[str, Any]] = []
        self.sent: list[tuple[str, str]] = []
        self.config.invoke = self.invoke
        self.config.emit = lambda _, event: self.emitted.append(event)
        self.config.send = self.send

    async def invoke(self, _arn: str, event: dict[str, Any]) -> str:
        self.asked.append(event)
        return ""

    async def send(self, topic: str, text: str) -> None:
        self.sent.append((topic, text))

    def call(self, operation: str, region: str = REGION, **parameters: Any) -> dict[str, Any]:
        reply = self.config.call(operation, parameters, caller=ROOT, account=ACCOUNT, region=region)
        return reply.body

    def do(self, operation: str, **parameters: Any) -> Any:
        self.now += 1
        reply = self.kms.call(operation, parameters, caller=ROOT, account=ACCOUNT, region=REGION)
        for arn in reply.resources:
            self.config.recording.changed(arn)
        return reply.body

    def record(self, **group: Any) -> None:
        settings = {"name": "default"} | ({"recordingGroup": group} if group else {})
        self.call("PutConfigurationRecorder", ConfigurationRecorder=settings)
        channel = {"name": "default", "s3BucketName": "bucket", "snsTopicARN": "topic"}
        self.call("PutDeliveryChannel", DeliveryChannel=channel)
        self.call("StartConfigurationRecorder", ConfigurationRecorderName="default")

    def rule(self, *kinds: str, **more: Any) -> dict[str, Any]:
        details = [{"EventSource": "aws.config", "MessageType": one} for one in kinds]
        return {
            "ConfigRuleName": "rule",
            "Source": {
                "Owner": "CUSTOM_LAMBDA",
                "SourceIdentifier": FUNCTION,
                "SourceDetails": details,
            },
        } | more

    async def settle(self) -> None:
        """Carry on until nothing is left to be told."""
        running = asyncio.create_task(self.config.recording.run(), name="recording")
        await self.config.recording.settle()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


CHANGE, TIME = "ConfigurationItemChangeNotification", "ScheduledNotification"


def evaluation(**changes: Any) -> dict[str, Any]:
    return {
        "ComplianceResourceType": "AWS::KMS::Key",
        "ComplianceResourceId": "key",
        "ComplianceType": "COMPLIANT",
        "OrderingTimestamp": 1_795_166_043.0,
    } | changes


def test_a_recorder_needs_a_channel_and_a_rule_a_recorder() -> None:
    world = World()
    with pytest.raises(Refusal, match="NoAvailableConfigurationRecorder"):
        world.call("PutDeliveryChannel", DeliveryChannel={"s3BucketName": "bucket"})
    with pytest.raises(Refusal, match="NoAvailableConfigurationRecorder"):
        world.call("PutConfigRule", ConfigRule=world.rule(CHANGE))
    world.call("PutConfigurationRecorder", ConfigurationRecorder={"name": "default"})
    with pytest.raises(Refusal, match="NoAvailableDeliveryChannel"):
        world.call("StartConfigurationRecorder", ConfigurationRecorderName="default")
    with pytest.raises(Refusal, match="NoSuchConfigurationRecorder"):
        world.call("StopConfigurationRecorder", ConfigurationRecorderName="another")


async def test_every_change_makes_one_item_with_what_changed() -> None:
    world = World()
    arn = world.do("CreateKey")["KeyMetadata"]["Arn"]
    world.record()
    await world.settle()
    world.do("DisableKey", KeyId=arn)
    await world.settle()
    world.do("ListAliases")
    world.config.recording.changed(arn)  # nothing is other than it was
    await world.settle()
    first, second = [json.loads(text) for _, text in world.sent]
    assert first["configurationItem"]["configurationItemStatus"] == "ResourceDiscovered"
    assert first["configurationItemDiff"]["changeType"] == "CREATE"
    assert second["configurationItemDiff"]["changedProperties"]["Configuration.KeyState"] == {
        "previousValue": "Enabled",
        "updatedValue": "Disabled",
        "changeType": "UPDATE",
    }
    assert [one["resources"] for one in world.emitted] == [[arn], [arn]]
    name = arn.rpartition("/")[2]
    found = world.call("GetResourceConfigHistory", resourceType="AWS::KMS::Key", resourceId=name)
    states = [json.loads(one["configuration"])["keyState"] for one in found["configurationItems"]]
    assert states == ["Disabled", "Enabled"]
    with pytest.raises(Refusal, match="ResourceNotDiscovered"):
        world.call("GetResourceConfigHistory", resourceType="AWS::KMS::Key", resourceId="none")


@pytest.mark.parametrize(
    ("group", "count"),
    [
        ({}, 1),
        ({"allSupported": True}, 1),
        ({"allSupported": False, "resourceTypes": ["AWS::KMS::Key"]}, 1),
        ({"allSupported": False, "resourceTypes": ["AWS::S3::Bucket"]}, 0),
        ({"exclusionByResourceTypes": {"resourceTypes": ["AWS::KMS::Key"]}}, 0),
    ],
)
async def test_only_what_the_recorder_is_told_is_recorded(
    group: dict[str, Any], count: int
) -> None:
    world = World()
    world.do("CreateKey")
    world.record(**group)
    await world.settle()
    assert len(world.sent) == count


async def test_a_stopped_recorder_sees_nothing() -> None:
    world = World()
    arn = world.do("CreateKey")["KeyMetadata"]["Arn"]
    world.record()
    await world.settle()
    world.call("StopConfigurationRecorder", ConfigurationRecorderName="default")
    world.do("DisableKey", KeyId=arn)
    await world.settle()
    assert len(world.sent) == 1
    status = world.call("DescribeConfigurationRecorderStatus")["ConfigurationRecordersStatus"]
    assert [one["recording"] for one in status] == [False]


async def test_a_rule_is_asked_by_changes_and_on_time() -> None:
    world = World()
    arn = world.do("CreateKey")["KeyMetadata"]["Arn"]
    world.record()
    await world.settle()
    world.call("PutConfigRule", ConfigRule=world.rule(CHANGE, TIME))
    await world.settle()
    kinds = [json.loads(one["invokingEvent"])["messageType"] for one in world.asked]
    assert kinds == [CHANGE, TIME]
    world.do("DisableKey", KeyId=arn)
    await world.settle()
    assert len(world.asked) == 3
    assert len({one["resultToken"] for one in world.asked}) == 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"Source": {"Owner": "AWS", "SourceIdentifier": "CMK_BACKING_KEY_ROTATION_ENABLED"}},
        {"Source": {"Owner": "CUSTOM_LAMBDA", "SourceIdentifier": FUNCTION}},
        {"InputParameters": "30"},
        {"ConfigRuleName": ""},
    ],
)
def test_wrong_rules_are_refused(wrong: dict[str, Any]) -> None:
    world = World()
    world.record()
    with pytest.raises(Refusal, match="InvalidParameterValue"):
        world.call("PutConfigRule", ConfigRule=world.rule(CHANGE) | wrong)
    with pytest.raises(Refusal, match="There is no message type"):
        world.call("PutConfigRule", ConfigRule=world.rule("AnythingElse"))
    world.config.knows = lambda _: False
    with pytest.raises(Refusal, match="InsufficientPermissions"):
        world.call("PutConfigRule", ConfigRule=world.rule(CHANGE))


async def asked() -> tuple[World, str]:
    world = World()
    world.record()
    world.call("PutConfigRule", ConfigRule=world.rule(TIME))
    await world.settle()
    return world, str(world.asked[0]["resultToken"])


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"ComplianceType": "INSUFFICIENT_DATA"}, "InvalidParameterValue"),
        ({"Annotation": ""}, "ValidationException"),
        ({"Annotation": "x" * 257}, "ValidationException"),
        ({"OrderingTimestamp": None}, "ValidationException"),
        ({"ComplianceResourceId": ""}, "ValidationException"),
    ],
)
async def test_wrong_verdicts_are_refused(changes: dict[str, Any], code: str) -> None:
    world, token = await asked()
    with pytest.raises(Refusal, match=code):
        world.call("PutEvaluations", ResultToken=token, Evaluations=[evaluation(**changes)])


async def test_a_verdict_needs_the_token_of_its_question() -> None:
    world, token = await asked()
    for wrong in ("", "TESTMODE", token[:-1]):
        with pytest.raises(Refusal, match="InvalidResultToken"):
            world.call("PutEvaluations", ResultToken=wrong, Evaluations=[evaluation()])
    with pytest.raises(Refusal, match="InvalidResultToken"):
        world.call("PutEvaluations", "us-east-1", ResultToken=token, Evaluations=[evaluation()])
    with pytest.raises(Refusal, match="less than or equal to 100"):
        world.call("PutEvaluations", ResultToken=token, Evaluations=[evaluation()] * 101)
    world.call("PutEvaluations", ResultToken="any", Evaluations=[evaluation()], TestMode=True)
    details = world.call("GetComplianceDetailsByConfigRule", ConfigRuleName="rule")
    assert details["EvaluationResults"] == []
    with pytest.raises(Refusal, match="NoSuchConfigRule"):
        world.call("GetComplianceDetailsByConfigRule", ConfigRuleName="another")


async def test_the_newest_verdict_counts_and_only_another_one_is_told() -> None:
    world, token = await asked()

    def put(kind: str, at: float) -> None:
        one = evaluation(ComplianceType=kind, OrderingTimestamp=at, Annotation=kind)
        world.call("PutEvaluations", ResultToken=token, Evaluations=[one])

    for kind, at in [
        ("COMPLIANT", 10.0),
        ("COMPLIANT", 11.0),
        ("NON_COMPLIANT", 5.0),
        ("NON_COMPLIANT", 12.0),
    ]:
        put(kind, at)
    await world.settle()
    told = [json.loads(text)["newEvaluationResult"]["complianceType"] for _, text in world.sent]
    assert told == ["COMPLIANT", "NON_COMPLIANT"]
    (one,) = world.call("GetComplianceDetailsByConfigRule", ConfigRuleName="rule")[
        "EvaluationResults"
    ]
    assert (one["ComplianceType"], one["Annotation"]) == ("NON_COMPLIANT", "NON_COMPLIANT")
    compliance = world.call("DescribeComplianceByConfigRule")["ComplianceByConfigRules"]
    assert compliance[0]["Compliance"] == {"ComplianceType": "NON_COMPLIANT"}
    world.call("DeleteConfigRule", ConfigRuleName="rule")
    assert world.call("DescribeConfigRules") == {"ConfigRules": []}


async def test_verdicts_come_in_pages() -> None:
    world, token = await asked()
    many = [evaluation(ComplianceResourceId=f"key-{number}") for number in range(5)]
    world.call("PutEvaluations", ResultToken=token, Evaluations=many)
    found: list[Any] = []
    more: dict[str, Any] = {}
    while True:
        page = world.call(
            "GetComplianceDetailsByConfigRule", ConfigRuleName="rule", Limit=2, **more
        )
        found += page["EvaluationResults"]
        if "NextToken" not in page:
            break
        more = {"NextToken": page["NextToken"]}
    assert len(found) == 5
