"""The custom rule of AWS Config against the simulator: recorder, invocation, live key, verdict."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiobotocore.session import get_session

from monitor.baseline import Origin
from monitor.errors import Denied, NotWorthRetrying, SettingsError, WorthRetrying
from monitor.key import KeyRef
from monitor.simulator.server import Simulator
from tests.journey.config_scene import ON_TIME, ConfigScene, config_scene
from tests.journey.conftest import ACCOUNT, REGION


@pytest.fixture
async def scene(simulator: Simulator) -> AsyncIterator[ConfigScene]:
    async with config_scene(simulator) as scene:
        yield scene


async def new_key(scene: ConfigScene, **parameters: Any) -> str:
    return str((await scene.kms.create_key(**parameters))["KeyMetadata"]["Arn"])


async def test_the_verdict_follows_the_key_and_says_what_is_wrong(scene: ConfigScene) -> None:
    arn = await new_key(scene)
    await scene.record()
    await scene.put_rule()
    assert await scene.verdict(arn) == ("COMPLIANT", "Enabled; nothing that counts is wrong")
    await scene.kms.disable_key(KeyId=arn)
    await scene.simulator.settle()
    assert await scene.verdict(arn) == ("NON_COMPLIANT", "disabled")
    await scene.kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)
    await scene.simulator.settle()
    compliance, words = await scene.verdict(arn)
    assert compliance == "NON_COMPLIANT"
    assert words.startswith("scheduled for deletion, gone for good at ")
    await scene.kms.cancel_key_deletion(KeyId=arn)
    await scene.kms.enable_key(KeyId=arn)
    await scene.simulator.settle()
    assert (await scene.verdict(arn))[0] == "COMPLIANT"
    assert scene.count("config_evaluations_total", compliance="NON_COMPLIANT") >= 2
    assert scene.count("config_invocations_total", trigger="change", result="judged") >= 4


async def test_an_old_item_is_a_hint_the_live_key_is_the_truth(scene: ConfigScene) -> None:
    arn = await new_key(scene)
    await scene.record()
    await scene.put_rule()
    await scene.kms.disable_key(KeyId=arn)
    await scene.simulator.settle()
    stale = scene.events[-1]
    await scene.kms.enable_key(KeyId=arn)
    await scene.rule.evaluate(stale)  # the item says Disabled, and came late
    assert (await scene.verdict(arn))[0] == "COMPLIANT"


async def test_a_policy_that_lets_everybody_in_turns_the_verdict(scene: ConfigScene) -> None:
    arn = await new_key(scene)
    await scene.record()
    await scene.put_rule()
    policy = json.loads((await scene.kms.get_key_policy(KeyId=arn, PolicyName="default"))["Policy"])
    policy["Statement"].append(
        {"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"}
    )
    await scene.kms.put_key_policy(KeyId=arn, PolicyName="default", Policy=json.dumps(policy))
    await scene.config.start_config_rules_evaluation(ConfigRuleNames=["kms-keys-safe"])
    await scene.simulator.settle()
    compliance, words = await scene.verdict(arn)
    assert (compliance, words[:26]) == ("NON_COMPLIANT", "key policy: everybody may ")
    assert len(words) <= 256


async def test_rotation_counts_as_the_parameter_says(scene: ConfigScene) -> None:
    arn = await new_key(scene)
    signing = await new_key(scene, KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")
    await scene.record()
    await scene.put_rule()
    assert (await scene.verdict(arn))[0] == "COMPLIANT"
    await scene.put_rule(rotationOff="true")
    assert await scene.verdict(arn) == ("NON_COMPLIANT", "its automatic rotation is off")
    assert (await scene.verdict(signing))[0] == "COMPLIANT"


async def test_asked_on_time_it_judges_every_key_and_leaves_those_of_aws(
    scene: ConfigScene,
) -> None:
    managed = scene.simulator.kms.make_managed_key("s3", account=ACCOUNT, region=REGION)
    arns = [await new_key(scene) for _ in range(3)]
    await scene.kms.disable_key(KeyId=arns[1])
    await scene.record()
    await scene.put_rule(ON_TIME)
    assert [(await scene.verdict(one))[0] for one in arns] == [
        "COMPLIANT",
        "NON_COMPLIANT",
        "COMPLIANT",
    ]
    assert await scene.verdict(managed) == (
        "NOT_APPLICABLE",
        "an AWS managed key, which is left alone",
    )
    scene.simulator.kms.force_state(arns[1], "Gone")
    await scene.config.start_config_rules_evaluation(ConfigRuleNames=["kms-keys-safe"])
    await scene.simulator.settle()
    assert (await scene.verdict(arns[1]))[0] == "NOT_APPLICABLE"


async def test_more_keys_than_fit_into_one_call(scene: ConfigScene) -> None:
    arns = [await new_key(scene) for _ in range(130)]
    await scene.record()
    await scene.put_rule(ON_TIME)
    calls = [one for one in scene.simulator.records if one["eventName"] == "PutEvaluations"]
    sizes = [len(one["requestParameters"]["evaluations"]) for one in calls]
    assert max(sizes) <= 100
    assert sum(sizes) == len(arns)
    assert scene.answers[-1]["verdicts"]["COMPLIANT"] == len(arns)


async def test_a_deleted_key_is_not_applicable(scene: ConfigScene) -> None:
    arn = await new_key(scene)
    await scene.record()
    await scene.put_rule()
    scene.simulator.kms.force_state(arn, "Gone")
    scene.simulator.config.recording.changed(arn)
    await scene.simulator.settle()
    assert await scene.verdict(arn) == ("NOT_APPLICABLE", "the key does not exist any more")


@pytest.mark.parametrize("history", [True, False])
async def test_an_oversized_item_is_fetched(scene: ConfigScene, history: bool) -> None:
    arn = await new_key(scene)
    await scene.record()
    await scene.put_rule()
    scene.simulator.config.oversized = True
    # Only the item knows the state where we may not look at the key.
    deny = ["kms-monitor:kms:DescribeKey"]
    if not history:
        deny.append("kms-monitor:config:GetResourceConfigHistory")
        async with get_session().create_client(
            "s3",
            region_name=REGION,
            endpoint_url=scene.simulator.endpoint_url,
            aws_access_key_id="admin",
            aws_secret_access_key="any",
        ) as s3:
            await s3.create_bucket(
                Bucket="config-bucket", CreateBucketConfiguration={"LocationConstraint": REGION}
            )
            await scene.kms.disable_key(KeyId=arn)
            await scene.simulator.settle()
            event = scene.events[-1]
            inner = json.loads(event["invokingEvent"])
            where = inner["s3DeliverySummary"]["s3BucketLocation"].partition("/")[2]
            item = scene.simulator.config.recording.history[arn][-1].body()
            body = gzip.compress(json.dumps({"configurationItem": item}).encode())
            await s3.put_object(Bucket="config-bucket", Key=where, Body=body)
            scene.simulator.set_knob("deny", tuple(deny))
            await scene.rule.evaluate(event)
    else:
        scene.simulator.set_knob("deny", tuple(deny))
        await scene.kms.disable_key(KeyId=arn)
        await scene.simulator.settle()
    assert await scene.verdict(arn) == (
        "NON_COMPLIANT",
        "Disabled when AWS Config looked; cannot be judged: AccessDeniedException",
    )


async def test_what_we_may_not_look_at_is_never_green(scene: ConfigScene) -> None:
    arn = await new_key(scene)
    await scene.record()
    await scene.put_rule()
    assert (await scene.verdict(arn))[0] == "COMPLIANT"
    scene.simulator.set_knob("deny", ("kms-monitor:kms:GetKeyPolicy",))
    await scene.config.start_config_rules_evaluation(ConfigRuleNames=["kms-keys-safe"])
    await scene.simulator.settle()
    assert await scene.verdict(arn) == (
        "NON_COMPLIANT",
        "its key policy cannot be judged: AccessDeniedException",
    )
    scene.simulator.set_knob("deny", ("kms-monitor:kms:DescribeKey",))
    await scene.config.start_config_rules_evaluation(ConfigRuleNames=["kms-keys-safe"])
    await scene.simulator.settle()
    assert await scene.verdict(arn) == (
        "NON_COMPLIANT",
        "cannot be judged: AccessDeniedException",
    )


async def test_an_expired_token_gives_no_verdict_and_says_so(scene: ConfigScene) -> None:
    arn = await new_key(scene)
    await scene.record()
    await scene.put_rule()
    event = scene.events[-1]
    await scene.kms.disable_key(KeyId=arn)
    await scene.simulator.settle()
    before = await scene.verdict(arn)
    scene.simulator.config.expire_tokens()
    with pytest.raises(NotWorthRetrying, match="token has expired"):
        await scene.rule.evaluate(event)
    assert await scene.verdict(arn) == before
    assert scene.count("config_evaluations_failed_total", reason="token") == 1


async def test_a_trial_changes_no_verdict(scene: ConfigScene) -> None:
    arn = await new_key(scene)
    await scene.record()
    await scene.put_rule()
    scene.simulator.set_knob("config_delay_seconds", 600)  # so that nobody else tells of it
    await scene.kms.disable_key(KeyId=arn)
    trial = scene.events[-1] | {"resultToken": "TESTMODE"}
    answer = await scene.rule.evaluate(trial)
    assert answer == {
        "rule": "kms-keys-safe",
        "test": True,
        "verdicts": {"COMPLIANT": 0, "NON_COMPLIANT": 1, "NOT_APPLICABLE": 0},
    }
    assert (await scene.verdict(arn))[0] == "COMPLIANT"


async def test_verdicts_that_are_not_taken_are_not_lost(scene: ConfigScene) -> None:
    arn = await new_key(scene)
    await scene.record()
    scene.simulator.config.refusing = {arn.rpartition("/")[2]}
    await scene.put_rule()
    assert isinstance(scene.answers[-1], WorthRetrying)
    assert scene.count("config_evaluations_failed_total", reason="refused") == 1
    scene.simulator.config.refusing = set()
    await scene.rule.evaluate(scene.events[-1])
    assert (await scene.verdict(arn))[0] == "COMPLIANT"


async def test_without_the_right_to_answer_it_says_so(scene: ConfigScene) -> None:
    await new_key(scene)
    await scene.record()
    scene.simulator.set_knob("deny", ("kms-monitor:config:PutEvaluations",))
    await scene.put_rule()
    assert isinstance(scene.answers[-1], Denied)
    assert scene.count("config_evaluations_failed_total", reason="denied") == 1


async def test_a_wrong_parameter_is_named(scene: ConfigScene) -> None:
    await new_key(scene)
    await scene.record()
    await scene.put_rule(pendingDeletoin="true", materialExpiringDays="soon")
    error = scene.answers[-1]
    assert isinstance(error, SettingsError)
    assert error.faults[0].startswith("ruleParameters.materialExpiringDays: ")
    assert "ruleParameters.pendingDeletoin: there is no such parameter" in error.faults[1]


async def test_a_key_that_is_not_guarded_gets_no_verdict(scene: ConfigScene) -> None:
    await new_key(scene)
    await scene.record()
    scene.knowledge.places = frozenset({("444455556666", REGION)})
    await scene.put_rule()
    assert "not among the guarded ones" in str(scene.answers[-1])
    assert await scene.verdicts() == {}


async def test_what_somebody_accepted_passes_and_what_was_found_so_does_not(
    scene: ConfigScene,
) -> None:
    arn = await new_key(scene)
    key = KeyRef.parse(arn)
    assert key is not None
    await scene.kms.disable_key(KeyId=arn)
    await scene.baselines.sighted(await scene.rule.keys.read(key))
    await scene.record()
    await scene.put_rule()
    assert await scene.verdict(arn) == ("NON_COMPLIANT", "disabled")
    await scene.baselines.accept(
        key, {"state": "Disabled"}, scene.clock.now() + 1, origin=Origin.PEOPLE
    )
    await scene.put_rule()
    assert (await scene.verdict(arn))[0] == "COMPLIANT"
    await scene.put_rule(acceptedIsRight="false")
    assert await scene.verdict(arn) == ("NON_COMPLIANT", "disabled")


async def test_while_kms_throttles_no_verdict_is_given(
    scene: ConfigScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    arn = await new_key(scene)
    await scene.record()
    await scene.put_rule()

    async def throttled(_: object) -> None:
        raise WorthRetrying("kms:DescribeKey: ThrottlingException", code="ThrottlingException")

    monkeypatch.setattr(scene.rule.keys, "read", throttled)
    with pytest.raises(WorthRetrying):
        await scene.rule.evaluate(scene.events[-1])
    assert (await scene.verdict(arn))[0] == "COMPLIANT"


async def test_its_topic_tells_people_of_the_change(scene: ConfigScene) -> None:
    arn = await new_key(scene)
    await scene.record()
    await scene.put_rule()
    await scene.kms.disable_key(KeyId=arn)
    await scene.simulator.settle()
    async with get_session().create_client(
        "sqs",
        region_name=REGION,
        endpoint_url=scene.simulator.endpoint_url,
        aws_access_key_id="admin",
        aws_secret_access_key="any",
    ) as sqs:
        told = []
        while messages := (
            await sqs.receive_message(
                QueueUrl=scene.simulator.topic_queue_url, MaxNumberOfMessages=10
            )
        ).get("Messages"):
            told += [json.loads(json.loads(one["Body"])["Message"]) for one in messages]
            for one in messages:
                await sqs.delete_message(
                    QueueUrl=scene.simulator.topic_queue_url, ReceiptHandle=one["ReceiptHandle"]
                )
    kinds = [
        (one["messageType"], (one.get("newEvaluationResult") or {}).get("complianceType"))
        for one in told
    ]
    assert kinds == [
        ("ConfigurationItemChangeNotification", None),
        ("ComplianceChangeNotification", "COMPLIANT"),
        ("ConfigurationItemChangeNotification", None),
        ("ComplianceChangeNotification", "NON_COMPLIANT"),
    ]
    assert told[3]["newEvaluationResult"]["annotation"] == "disabled"


async def test_twice_and_at_once_come_to_the_same_verdict(scene: ConfigScene) -> None:
    arn = await new_key(scene)
    await scene.record()
    await scene.put_rule()
    await scene.kms.disable_key(KeyId=arn)
    await scene.simulator.settle()
    event = scene.events[-1]
    answers = await asyncio.gather(*(scene.rule.evaluate(event) for _ in range(5)))
    assert all(one == answers[0] for one in answers)
    assert await scene.verdict(arn) == ("NON_COMPLIANT", "disabled")


@pytest.mark.parametrize(
    ("item", "outer", "words"),
    [
        (
            {"resourceType": "AWS::KMS::Alias", "resourceId": "alias/x", "ARN": "..."},
            {},
            "only keys (AWS::KMS::Key) are judged here, not AWS::KMS::Alias",
        ),
        ({}, {"eventLeftScope": True}, "the key is not in the scope of the rule any more"),
        (
            {"configurationItemStatus": "ResourceDeletedNotRecorded"},
            {},
            "the key does not exist any more",
        ),
    ],
)
async def test_what_is_no_key_of_the_rule_is_not_applicable(
    scene: ConfigScene, item: dict[str, Any], outer: dict[str, Any], words: str
) -> None:
    arn = await new_key(scene)
    await scene.record()
    await scene.put_rule()
    calls = len(scene.simulator.records)
    event = scene.events[-1]
    inner = json.loads(event["invokingEvent"])
    inner["configurationItem"] |= item
    await scene.rule.evaluate(event | {"invokingEvent": json.dumps(inner)} | outer)
    # Nobody need look at anything for that.
    asked = [one["eventName"] for one in scene.simulator.records[calls:]]
    assert asked == ["PutEvaluations"]
    about = str(item.get("resourceId", arn.rpartition("/")[2]))
    assert (await scene.verdicts("NOT_APPLICABLE"))[about] == ("NOT_APPLICABLE", words)


async def test_a_key_that_is_too_new_for_kms_is_asked_about_again(scene: ConfigScene) -> None:
    arn = await new_key(scene)
    await scene.record()
    await scene.put_rule()
    scene.simulator.set_knob("consistency_seconds", 600)  # reads do not see it yet
    scene.simulator.config.recording.history[arn].clear()
    with pytest.raises(WorthRetrying, match="if it is new, it soon will"):
        await scene.rule.evaluate(scene.events[-1])
    assert (await scene.verdict(arn))[0] == "COMPLIANT"
