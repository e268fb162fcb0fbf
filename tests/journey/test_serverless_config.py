"""The function as the custom rule of AWS Config, and as what puts a key back for its remediation."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from monitor.simulator.config import PERMISSION
from monitor.simulator.functions import Function, FunctionError
from monitor.simulator.server import Simulator
from tests.journey.config_scene import ON_CHANGE, RULE
from tests.journey.conftest import Person, until
from tests.journey.functions import deployed
from tests.journey.functions import told as told_by_us
from tests.journey.scene import client


async def put_rule(simulator: Simulator, function: Function, **parameters: str) -> None:
    function.permitted = {PERMISSION}  # no event of CloudTrail comes through
    await simulator.record()
    async with client(simulator, "config", "admin") as config:
        await config.put_config_rule(
            ConfigRule={
                "ConfigRuleName": RULE,
                "Source": {
                    "Owner": "CUSTOM_LAMBDA",
                    "SourceIdentifier": function.arn,
                    "SourceDetails": ON_CHANGE,
                },
                "InputParameters": json.dumps(parameters),
            }
        )


async def verdicts(simulator: Simulator) -> dict[str, str]:
    async with client(simulator, "config", "admin") as config:
        answer = await config.get_compliance_details_by_config_rule(ConfigRuleName=RULE)
    return {
        one["EvaluationResultIdentifier"]["EvaluationResultQualifier"]["ResourceId"]: one[
            "ComplianceType"
        ]
        for one in answer["EvaluationResults"]
    }


async def is_now(simulator: Simulator, arn: str, verdict: str) -> None:
    async def so() -> bool:
        return (await verdicts(simulator)).get(arn.rpartition("/")[2]) == verdict

    await until(so, 20)


async def told(simulator: Simulator) -> list[str]:
    """The verdicts that AWS Config told people by its topic."""
    found = []
    url = f"{simulator.endpoint_url}/{simulator.accounts[0]}/kms-monitor-config-reader"
    async with client(simulator, "sqs", "admin") as sqs:
        while messages := (await sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)).get(
            "Messages"
        ):
            bodies = [json.loads(json.loads(one["Body"])["Message"]) for one in messages]
            found += [
                str(one["newEvaluationResult"]["complianceType"])
                for one in bodies
                if one["messageType"] == "ComplianceChangeNotification"
            ]
    return found


async def test_config_sees_the_change_people_are_told_and_after_the_repair_all_is_well(
    simulator: Simulator, people: Callable[[str], Person]
) -> None:
    """Scene (2) of the README, with the remediation that undoes all of it."""
    async with deployed(simulator) as function:
        arn = await people("admin").create_key()
        await put_rule(simulator, function)
        await is_now(simulator, arn, "COMPLIANT")
        await people("mallory").kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)
        await is_now(simulator, arn, "NON_COMPLIANT")
        assert await people("admin").state(arn) == "PendingDeletion"
        answer = await function.invoke({"kms-monitor": "restore", "key": arn})
        assert answer == {
            "key": arn,
            "found": "PendingDeletion",
            "state": "Enabled",
            "right": True,
        }
        await is_now(simulator, arn, "COMPLIANT")
        assert await told(simulator) == ["COMPLIANT", "NON_COMPLIANT", "COMPLIANT"]


async def test_a_key_that_is_as_it_should_be_is_left_alone(
    simulator: Simulator, people: Callable[[str], Person]
) -> None:
    async with deployed(simulator) as function:
        admin = people("admin")
        well, disabled = await admin.create_key(), await admin.create_key()
        await admin.kms.disable_key(KeyId=disabled)
        function.permitted.clear()
        await function.invoke({"kms-monitor": "sweep"})
        for arn, state in {well: "Enabled", disabled: "Disabled"}.items():
            answer = await function.invoke({"kms-monitor": "restore", "key": arn})
            assert answer == {"key": arn, "found": state, "state": state, "right": True}
        # From a deletion the key comes back as it was when it was first seen.
        await people("mallory").kms.schedule_key_deletion(KeyId=disabled, PendingWindowInDays=7)
        answer = await function.invoke({"kms-monitor": "restore", "key": disabled})
        assert (answer["state"], answer["right"]) == ("Disabled", True)


async def test_what_else_of_a_key_was_changed_is_undone_too(
    simulator: Simulator, people: Callable[[str], Person]
) -> None:
    async with deployed(simulator) as function:
        arn = await people("admin").create_key(Tags=[{"TagKey": "tier", "TagValue": "0"}])
        function.permitted.clear()
        await function.invoke({"kms-monitor": "sweep"})
        await people("mallory").kms.untag_resource(KeyId=arn, TagKeys=["tier"])
        answer = await function.invoke({"kms-monitor": "restore", "key": arn})
        assert answer["right"]
        tags = (await people("admin").kms.list_resource_tags(KeyId=arn))["Tags"]
        assert tags == [{"TagKey": "tier", "TagValue": "0"}]


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ({}, "restore needs"),
        ({"key": "alias/payments"}, "restore needs"),
        ({"key": 7}, "restore needs"),
        (
            {"key": "arn:aws:kms:eu-west-1:999988887777:key/0a1b2c3d-0000-4000-8000-000000000001"},
            "not among the guarded ones",
        ),
    ],
)
async def test_what_is_no_key_of_ours_is_not_put_back(
    simulator: Simulator, asked: dict[str, Any], problem: str
) -> None:
    async with deployed(simulator) as function:
        with pytest.raises(FunctionError, match=problem):
            await function.invoke({"kms-monitor": "restore"} | asked)


async def test_in_observe_it_is_only_told(
    simulator: Simulator, people: Callable[[str], Person]
) -> None:
    async with deployed(simulator, mode="observe") as function:
        arn = await people("admin").create_key()
        function.permitted.clear()
        await function.invoke({"kms-monitor": "sweep"})
        await people("mallory").kms.disable_key(KeyId=arn)
        answer = await function.invoke({"kms-monitor": "restore", "key": arn})
        assert (answer["state"], answer["right"]) == ("Disabled", False)


async def test_nobody_guesses_how_a_key_should_be_that_was_never_seen(
    simulator: Simulator, people: Callable[[str], Person]
) -> None:
    async with deployed(simulator) as function:
        arn = await people("admin").create_key()
        function.permitted.clear()
        await people("mallory").kms.disable_key(KeyId=arn)
        with pytest.raises(FunctionError, match="nobody knows how the key should be"):
            await function.invoke({"kms-monitor": "restore", "key": arn})


async def test_an_invocation_that_cannot_be_read_fails_and_is_kept(
    simulator: Simulator, people: Callable[[str], Person]
) -> None:
    async with deployed(simulator) as function:
        await people("admin").create_key()
        await put_rule(simulator, function, colour="blue")
        await until(lambda: function.calls, 20)
        assert "there is no such parameter" in function.calls[0].error
        with pytest.raises(FunctionError, match="not_json"):
            await function.invoke(function.calls[0].event | {"invokingEvent": "{"})
        old = function.calls[0].event | {"resultToken": "old", "ruleParameters": "{}"}
        with pytest.raises(FunctionError, match="token has expired"):
            await function.invoke(old)
        assert await verdicts(simulator) == {}


async def test_cloudtrail_and_config_at_once_are_one_incident_for_two_containers(
    simulator: Simulator, people: Callable[[str], Person], sqs: Any
) -> None:
    simulator.set_knob("retry_waits", (0.5, 1.0))
    changes = {"sns": {"topic_arn": simulator.topic_arn}, "restore_key": {"doubt_seconds": 0}}
    async with deployed(simulator, containers=2, responders=changes) as function:
        await simulator.record()
        async with client(simulator, "events", "admin") as events:
            pattern = json.dumps({"source": ["aws.config"]})
            rule = await events.put_rule(Name="config", EventPattern=pattern)
            target = {"Id": "function", "Arn": function.arn}
            await events.put_targets(Rule="config", Targets=[target])
        function.permitted.add(("events.amazonaws.com", rule["RuleArn"]))
        arn = await people("admin").create_key()
        await simulator.functions.settle()
        await people("mallory").kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)

        def seen() -> bool:
            bodies = [json.dumps(one.event) for one in function.calls if not one.error]
            return all(
                any(words in body for body in bodies)
                for words in ('"eventName": "ScheduleKeyDeletion"', '"updatedValue": "PendingDel')
            )

        await until(seen, 30)
        await simulator.functions.settle()
        assert await people("admin").state(arn) == "Enabled"
    found = await told_by_us(simulator, sqs)
    item = "ConfigurationItemChangeNotification"
    assert [one["event"]["name"] for one in found] in (
        ["ScheduleKeyDeletion"],
        [item, "ScheduleKeyDeletion"],
    )
    assert len({one["incident"]["id"] for one in found}) == 1
