"""The template of the serverless form: what test_stack.py does not ask of all three."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.session import Session

from monitor.rights import policies
from monitor.rights.command import needs_of
from monitor.rights.table import CONFIG_RULE, FUNCTION, LISTEN
from monitor.serverless.settings import read_text
from monitor.stack.function import RUNTIMES
from tests.stacks import Stack, template
from tests.unit.test_stack import (
    CONFIG,
    EVERY_STACK,
    HOME,
    REGION,
    actions,
    document,
    documents,
    generate,
    serverless,
)

ARN = f"arn:aws:lambda:{REGION}:{HOME}:function:kms-monitor"


def allowed(stack: Stack) -> set[str]:
    return set[str]().union(
        *(actions(one) for name, one in documents(stack) if name.startswith("Role "))
    )


def statement(stack: Stack, sid: str) -> dict[str, Any]:
    found = document(stack, "Role Function")["Statement"]
    (one,) = (each for each in found if each["Sid"] == sid)
    return dict(one)


def test_rights_are_those_of_the_daemon_and_of_a_function() -> None:
    needs = needs_of(CONFIG, None)
    daemon = actions(policies.home_policy(needs))
    function = {call for right in FUNCTION for call in right.calls} - {"ssm:GetParameter"}
    queue = {call for right in LISTEN for call in right.calls}
    # It knows that it is a role, and does not check itself.
    others = {"iam:ListAttachedUserPolicies", "iam:SimulatePrincipalPolicy"}
    made = {one for one in allowed(serverless()) if not one.startswith("dynamodb:")}
    assert made == daemon - queue - others | function
    assert "kms:CancelKeyDeletion" not in allowed(EVERY_STACK["serverless, observing"])


def test_further_rights_are_there_only_for_what_is_chosen() -> None:
    every = allowed(EVERY_STACK["serverless with all"])
    rule = {call for right in CONFIG_RULE for call in right.calls}
    assert every - allowed(serverless()) == rule | {
        "ssm:GetParameter",
        "sts:AssumeRole",
        "sts:TagSession",
    }


def test_its_rights_are_on_its_own_things() -> None:
    stack = EVERY_STACK["serverless with all"]
    queue = f"arn:aws:sqs:{REGION}:{HOME}:kms-monitor-dlq"
    log = f"arn:aws:logs:{REGION}:{HOME}:log-group:/aws/lambda/kms-monitor:*"
    parameter = f"arn:aws:ssm:{REGION}:{HOME}:parameter/kms-monitor/settings"
    assert statement(stack, "GiveUp")["Resource"] == queue
    assert statement(stack, "WriteLog")["Resource"] == log
    assert statement(stack, "ReadSettings")["Resource"] == parameter
    (trust,) = document(stack, "trust of Role")["Statement"]
    assert trust["Principal"] == {"Service": "lambda.amazonaws.com"}


def test_each_rule_calls_it_and_may() -> None:
    stack = serverless()
    rules = stack.resources("Events::Rule")
    assert len(rules) > 8
    for one in rules.values():
        (target,) = one["Targets"]
        assert target["Arn"] == ARN
        assert target["DeadLetterConfig"] == {"Arn": stack.attribute("DeadLetters", "Arn")}
        assert target["RetryPolicy"]["MaximumEventAgeInSeconds"] == 86_400
    permitted = stack.resources("Lambda::Permission").values()
    assert {one["SourceArn"] for one in permitted} == {
        stack.attribute(name, "Arn") for name in rules
    }


def test_settings_that_it_prints_are_good_and_fit_into_an_environment() -> None:
    for name in ("serverless", "serverless, observing"):
        stack = EVERY_STACK[name]
        variables = stack.resources("Lambda::Function")["Function"]["Environment"]["Variables"]
        text = variables["KMS_MONITOR_SETTINGS"]
        assert stack.outputs()["Settings"] == text
        # Lambda takes 4 KB for all variables together (Lambda quotas).
        assert len(json.dumps(variables)) < 4096
        settings = read_text(text.encode(), "settings", {"AWS_REGION": REGION})
        assert settings.store.table == "kms-monitor"
        assert settings.mode.value == ("enforce" if name == "serverless" else "observe")
        assert settings.function.failure_queue is not None


def test_settings_may_lie_in_systems_manager() -> None:
    stack = EVERY_STACK["serverless with all"]
    variables = stack.resources("Lambda::Function")["Function"]["Environment"]["Variables"]
    assert variables == {"KMS_MONITOR_CONFIG": "ssm:/kms-monitor/settings"}


def test_what_is_not_chosen_is_not_made() -> None:
    least = EVERY_STACK["serverless, observing"]
    assert not least.resources("Config::ConfigRule")
    assert "AlarmNotCalled" not in least.resources("CloudWatch::Alarm")
    assert "RuleSweep" not in least.resources("Events::Rule")
    function = least.resources("Lambda::Function")["Function"]
    assert "ReservedConcurrentExecutions" not in function
    assert "S3ObjectVersion" not in function["Code"]
    most = EVERY_STACK["serverless with all"]
    assert most.resources("Lambda::Function")["Function"]["ReservedConcurrentExecutions"] == "5"
    (rule,) = most.resources("Config::ConfigRule").values()
    assert rule["Scope"] == {"ComplianceResourceTypes": ["AWS::KMS::Key"]}
    kinds = {one["MessageType"] for one in rule["Source"]["SourceDetails"]}
    assert kinds == {
        "ConfigurationItemChangeNotification",
        "OversizedConfigurationItemChangeNotification",
        "ScheduledNotification",
    }
    (config,) = (
        one
        for one in most.resources("Lambda::Permission").values()
        if one["Principal"] == "config.amazonaws.com"
    )
    assert config["SourceAccount"] == HOME


def test_its_alarms_are_about_itself() -> None:
    alarms = serverless().resources("CloudWatch::Alarm")
    assert {one["MetricName"] for one in alarms.values()} == {
        "Errors",
        "Throttles",
        "AsyncEventAge",
        "IteratorAge",
        "Invocations",
        "ApproximateNumberOfMessagesVisible",
    }
    missing = {name: one["TreatMissingData"] for name, one in alarms.items()}
    assert [name for name, one in missing.items() if one == "breaching"] == ["AlarmNotCalled"]
    topic = serverless().ref("Topic")
    assert all(one["AlarmActions"] == [topic] for one in alarms.values())
    function = {"Name": "FunctionName", "Value": "kms-monitor"}
    mine = [one for one in alarms.values() if one["Namespace"] == "AWS/Lambda"]
    assert len(mine) == 5
    assert all(one["Dimensions"] == [function] for one in mine)


def test_its_runtimes_are_lambdas_and_ours() -> None:
    model = Session().get_service_model("lambda").shape_for("Runtime")
    assert set(RUNTIMES) <= set(model.metadata["enum"])
    assert template("serverless")["Parameters"]["Runtime"]["AllowedValues"] == list(RUNTIMES)


@pytest.mark.parametrize(
    "function", [{"region": "eu-central-1"}, None], ids=["a Region", "the first guarded one"]
)
def test_it_is_made_from_settings_of_a_function_too(
    tmp_path: Path, function: dict[str, str] | None
) -> None:
    settings = yaml.safe_load(CONFIG.read_text("utf-8"))
    del settings["queues"]
    if function:
        settings["function"] = function
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump(settings))
    code, out, err = generate("--config", str(file), "--kind", "serverless")
    assert (code, err) == (0, "")
    made = yaml.safe_load(out)
    same = template("serverless")
    assert made["Resources"] == same["Resources"]
    if not function:
        assert made == same


def test_wrong_settings_are_said(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("accounts: 7\n")
    code, _, err = generate("--config", str(file), "--kind", "serverless")
    assert code == 2
    assert "settings.yaml:1: accounts" in err
