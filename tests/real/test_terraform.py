"""The Terraform modules, by the real terraform: well written, valid, and the same as the CloudFormation stacks.

hashicorp/aws is downloaded from where this machine may not reach, so that a provider which knows only an
excerpt of its schemas stands in for it (tests/terraform). `terraform test` with mocks then makes the
plan and the state as with the real one, but for what AWS itself would answer.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor.serverless.settings import read_text
from tests.real.services import require
from tests.stacks import Stack, template

ROOT = Path(__file__).parents[2]
MODULES = ROOT / "deploy" / "terraform"
HOME, MEMBER, REGION = "111122223333", "444455556666", "eu-west-1"
THERE = {"Home": HOME, "HomeRegion": REGION, "ExternalId": "a-word", "RolesIn": REGION}
CODE = {"code_bucket": "code", "code_key": "kms-monitor.zip"}
SAME_CODE = {"CodeBucket": "code", "CodeKey": "kms-monitor.zip"}
MOCKS = """
mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "ACCOUNT" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
  mock_data "aws_region" {
    defaults = { region = "eu-west-1", name = "eu-west-1" }
  }
OVERRIDES
}
run "made" {
  command = apply
  variables {
VARIABLES
  }
}
"""
ARNS = {
    "aws_sqs_queue.queue": "arn:aws:sqs:eu-west-1:111122223333:kms-monitor",
    "aws_sqs_queue.dead_letters": "arn:aws:sqs:eu-west-1:111122223333:kms-monitor-dlq",
    "aws_sns_topic.topic": "arn:aws:sns:eu-west-1:111122223333:kms-monitor",
    "aws_dynamodb_table.table": "arn:aws:dynamodb:eu-west-1:111122223333:table/kms-monitor",
    "aws_kms_key.canary": "arn:aws:kms:eu-west-1:111122223333:key/"
    "1234abcd-12ab-34cd-56ef-1234567890ab",
    "aws_iam_role.daemon": "arn:aws:iam::111122223333:role/kms-monitor",
    "aws_cloudwatch_event_bus.bus": "arn:aws:events:eu-west-1:111122223333:event-bus/kms-monitor",
}
"""What AWS would answer, as the templates' interpreter says it."""
ARNS_OF = {
    "home": ARNS,
    "member": {},
    "serverless": {
        name: arn
        for name, arn in ARNS.items()
        if name not in {"aws_sqs_queue.queue", "aws_kms_key.canary", "aws_iam_role.daemon"}
    }
    | {
        "aws_iam_role.function": ARNS["aws_iam_role.daemon"],
        "aws_lambda_function.function": "arn:aws:lambda:eu-west-1:111122223333:function:kms-monitor",
    },
}
ALARM = {
    "alarm_description": "AlarmDescription",
    "comparison_operator": "ComparisonOperator",
    "threshold": "Threshold",
    "evaluation_periods": "EvaluationPeriods",
    "datapoints_to_alarm": "DatapointsToAlarm",
    "treat_missing_data": "TreatMissingData",
    # Not where there is an expression; a mock makes something up for it.
    "metric_name": "MetricName",
    "statistic": "Statistic",
    "period": "Period",
}
"""What an alarm's arguments are called in a stack."""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """For terraform: the provider of schemas, and no calls to anywhere."""
    require("terraform")
    place = tmp_path_factory.mktemp("provider")
    built = subprocess.run(
        [require("go"), "build", "-o", str(place / "terraform-provider-aws"), "."],
        cwd=ROOT / "tests" / "terraform",
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert built.returncode == 0, built.stderr
    settings = place / "terraformrc"
    settings.write_text(
        f'provider_installation {{\n  dev_overrides {{\n    "hashicorp/aws" = "{place}"\n  }}\n'
        "  direct {}\n}\n"
    )
    return os.environ | {"TF_CLI_CONFIG_FILE": str(settings), "CHECKPOINT_DISABLE": "1"}


def terraform(
    environment: dict[str, str], module: Path, *words: str
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [require("terraform"), f"-chdir={module}", *words, "-no-color"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def copy_of(module: str, place: Path) -> Path:
    return Path(shutil.copytree(MODULES / module, place / module))


def made(environment: dict[str, str], module: Path, account: str, **given: Any) -> "Made":
    """The module applied, with mocks instead of AWS."""
    overrides = "".join(
        f'  override_resource {{\n    target = {target}\n    values = {{ arn = "{arn}" }}\n  }}\n'
        for target, arn in ARNS_OF[module.name].items()
    )
    variables = "\n".join(f"    {name} = {json.dumps(value)}" for name, value in given.items())
    text = MOCKS.replace("ACCOUNT", account).replace("OVERRIDES", overrides)
    (module / "made.tftest.hcl").write_text(text.replace("VARIABLES", variables))
    result = terraform(environment, module, "test", "-verbose", "-json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    problems = [one["@message"] + str(one) for one in lines if one["@level"] == "error"]
    assert problems == [], result.stdout[-3000:]
    (state,) = [one["test_state"] for one in lines if "test_state" in one]
    return Made(state)


class Made:
    """What Terraform would have made."""

    def __init__(self, state: dict[str, Any]) -> None:
        self.outputs: dict[str, Any] = {
            name: one["value"] for name, one in state["root_module"].get("outputs", {}).items()
        }
        self.every: list[dict[str, Any]] = state["root_module"]["resources"]

    def of(self, kind: str, name: str = "") -> Iterator[dict[str, Any]]:
        for one in self.every:
            if one["type"] == kind and name in {"", one["name"]}:
                yield one["values"]

    def policies(self) -> dict[str, Any]:
        """Those of the daemon's or the function's role, by name."""
        return {
            one["name"]: told_apart(json.loads(one["policy"]))
            for name in ("daemon", "function")
            for one in self.of("aws_iam_role_policy", name)
        }

    def rules(self) -> dict[str, Any]:
        return {
            one["name"]: (one["state"], json.loads(one["event_pattern"]))
            for one in self.of("aws_cloudwatch_event_rule")
        }


def told_apart(document: Any) -> Any:
    """A policy in one form: a value is a list of one, and neither order says anything."""
    if isinstance(document, dict):
        return {name: told_apart(one) for name, one in document.items()}
    if isinstance(document, list):
        found = [one if isinstance(one, str) else told_apart(one) for one in document]
        return sorted(found, key=lambda one: json.dumps(one, sort_keys=True))
    return [document]


def policies_of(stack: Stack) -> dict[str, Any]:
    role = stack.resources("IAM::Role")["Role"]
    return {one["PolicyName"]: told_apart(one["PolicyDocument"]) for one in role["Policies"]}


def rules_of(stack: Stack) -> dict[str, Any]:
    rules = stack.resources("Events::Rule").values()
    return {one["Name"]: (one["State"], one["EventPattern"]) for one in rules}


@pytest.mark.real
def test_it_is_written_as_terraform_writes() -> None:
    result = subprocess.run(
        [require("terraform"), "fmt", "-check", "-diff", "-recursive", str(MODULES)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (result.returncode, result.stdout) == (0, "")


@pytest.mark.real
@pytest.mark.timeout(300)
@pytest.mark.parametrize("module", ["home", "member", "serverless"])
def test_it_is_valid(environment: dict[str, str], module: str, tmp_path: Path) -> None:
    result = terraform(environment, copy_of(module, tmp_path), "validate", "-json")
    said = json.loads(result.stdout)
    assert said["valid"], said
    assert said["error_count"] == 0


PROVIDERS = """
provider "aws" {
  alias = "us_east_1"
}
variable "external_id" {
  type = string
}
"""
"""What a reader has already."""


@pytest.mark.real
@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", ["install-aws.md", "serverless-install.md"])
def test_the_example_of_the_guide_is_valid(
    environment: dict[str, str], page: str, tmp_path: Path
) -> None:
    guide = (ROOT / "docs" / page).read_text("utf-8")
    (example,) = re.findall(r"^```hcl\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL)
    (tmp_path / "main.tf").write_text(PROVIDERS + example)
    for module in ("home", "member", "serverless"):
        copy_of(module, tmp_path / "deploy" / "terraform")
    assert terraform(environment, tmp_path, "get").returncode == 0
    said = json.loads(terraform(environment, tmp_path, "validate", "-json").stdout)
    assert [one for one in said["diagnostics"] if one["severity"] == "error"] == []


@pytest.mark.real
@pytest.mark.timeout(300)
def test_a_wrong_argument_would_be_found(environment: dict[str, str], tmp_path: Path) -> None:
    module = copy_of("home", tmp_path)
    text = (module / "main.tf").read_text()
    (module / "main.tf").write_text(text.replace("sqs_managed_sse_enabled", "sse_enabled"))
    said = json.loads(terraform(environment, module, "validate", "-json").stdout)
    assert {one["summary"] for one in said["diagnostics"] if one["severity"] == "error"} == {
        "Unsupported argument"
    }


@pytest.mark.real
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("given", "same"),
    [
        ({"mode": "enforce"}, {"Mode": "enforce"}),
        (
            {"mode": "observe", "table": False, "canary": False},
            {"Mode": "observe", "Store": "sqlite", "Canary": "no"},
        ),
        (
            {
                "mode": "enforce",
                "regions": ["eu-west-1", "us-east-1"],
                "members": [MEMBER],
                "organization": "o-exampleorgid",
                "email": "a@example.com",
                "cluster": "prod",
            },
            {
                "Mode": "enforce",
                "Regions": "eu-west-1,us-east-1",
                "Members": MEMBER,
                "Organization": "o-exampleorgid",
                "Email": "a@example.com",
                "Cluster": "prod",
            },
        ),
        (
            {"mode": "observe", "runs_on": "eks-irsa", "oidc_provider": "oidc.example.com/id/X"},
            {"Mode": "observe", "RunsOn": "eks-irsa", "OidcProvider": "oidc.example.com/id/X"},
        ),
        ({"mode": "observe", "runs_on": "ec2"}, {"Mode": "observe", "RunsOn": "ec2"}),
    ],
    ids=["enforce", "least", "many", "irsa", "ec2"],
)
def test_home_is_the_same_as_the_stack(
    environment: dict[str, str], given: dict[str, Any], same: dict[str, str], tmp_path: Path
) -> None:
    found = made(environment, copy_of("home", tmp_path), HOME, **given)
    stack = Stack(template("home"), HOME, REGION, **same)
    assert found.policies() == policies_of(stack)
    assert found.rules() == rules_of(stack)
    (role,) = found.of("aws_iam_role")
    trust = stack.resources("IAM::Role")["Role"]["AssumeRolePolicyDocument"]
    trust = json.loads(trust) if isinstance(trust, str) else trust
    assert without_names(json.loads(role["assume_role_policy"])) == without_names(trust)
    (topic,) = found.of("aws_sns_topic_policy")
    other = stack.resources("SNS::TopicPolicy")["TopicPolicy"]["PolicyDocument"]
    assert told_apart(json.loads(topic["policy"])) == told_apart(other)
    alarms = {one["alarm_name"] for one in found.of("aws_cloudwatch_metric_alarm")}
    assert alarms == {one["AlarmName"] for one in stack.resources("CloudWatch::Alarm").values()}
    assert len(list(found.of("aws_sns_topic_subscription"))) == len(
        stack.resources("SNS::Subscription")
    )
    assert len(list(found.of("aws_eks_pod_identity_association"))) == len(
        stack.resources("EKS::PodIdentityAssociation")
    )
    for queue in found.of("aws_sqs_queue"):
        assert queue["sqs_managed_sse_enabled"] is True
        assert queue["message_retention_seconds"] == 14 * 86400


def without_names(document: dict[str, Any]) -> Any:
    return told_apart([one | {"Sid": ""} for one in document["Statement"]])


@pytest.mark.real
@pytest.mark.timeout(300)
def test_alarms_sound_for_the_same(environment: dict[str, str], tmp_path: Path) -> None:
    found = made(environment, copy_of("home", tmp_path), HOME)
    ours = {one["alarm_name"]: one for one in found.of("aws_cloudwatch_metric_alarm")}
    stack = Stack(template("home"), HOME, REGION)
    for other in stack.resources("CloudWatch::Alarm").values():
        one = ours.pop(other["AlarmName"])
        for name, its_name in ALARM.items():
            assert one[name] == other.get(its_name, one[name]), name
        queries = {each["id"]: each for each in one["metric_query"]}
        metrics = {each["Id"]: each for each in other.get("Metrics", [])}
        assert queries.keys() == metrics.keys()
        if metrics:
            assert queries["sum"]["expression"] == metrics["sum"]["Expression"]
            assert {
                each["metric"][0]["metric_name"] for each in queries.values() if each["metric"]
            } == {
                each["MetricStat"]["Metric"]["MetricName"]
                for each in metrics.values()
                if "MetricStat" in each
            }
    assert ours == {}


@pytest.mark.real
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("account", "given", "same"),
    [
        (
            MEMBER,
            {"mode": "enforce", "regions": ["eu-west-1", "us-east-1"], "roles": True},
            {"Mode": "enforce", "Regions": "eu-west-1,us-east-1"},
        ),
        (MEMBER, {"mode": "observe", "roles": True}, {"Mode": "observe"}),
        (MEMBER, {"roles": False}, {"RolesIn": "us-east-1"}),
        (HOME, {"roles": True}, {}),
        (HOME, {"roles": True, "events": "global"}, {"Events": "global"}),
    ],
    ids=["enforce", "observe", "another Region", "home", "global"],
)
def test_member_is_the_same_as_the_stack(
    environment: dict[str, str],
    account: str,
    given: dict[str, Any],
    same: dict[str, str],
    tmp_path: Path,
) -> None:
    there = {"home": HOME, "home_region": REGION, "external_id": "a-word"}
    found = made(environment, copy_of("member", tmp_path), account, **there, **given)
    stack = Stack(template("member"), account, REGION, **THERE | same)
    assert found.rules() == rules_of(stack)
    roles = {one["name"]: one for one in found.of("aws_iam_role")}
    others = {one["RoleName"]: one for one in stack.resources("IAM::Role").values()}
    assert roles.keys() == others.keys()
    for name, one in roles.items():
        trust = told_apart(others[name]["AssumeRolePolicyDocument"])
        assert told_apart(json.loads(one["assume_role_policy"])) == trust
    if "kms-monitor" in others:
        assert found.policies() == policies_of(stack)
    targets = {(one["arn"], one["role_arn"]) for one in found.of("aws_cloudwatch_event_target")}
    rules = stack.resources("Events::Rule").values()
    assert targets == {(one["Targets"][0]["Arn"], one["Targets"][0]["RoleArn"]) for one in rules}


@pytest.mark.real
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("given", "same"),
    [
        ({"mode": "enforce"}, {"Mode": "enforce"}),
        ({"mode": "observe", "sweep_every": "never"}, {"Mode": "observe", "SweepEvery": "never"}),
        (
            {
                "mode": "enforce",
                "regions": ["eu-west-1", "us-east-1"],
                "members": [MEMBER],
                "organization": "o-exampleorgid",
                "email": "a@example.com",
                "settings_parameter": "/kms-monitor/settings",
                "config_rule": True,
                "concurrency": 5,
                "architecture": "x86_64",
            },
            {
                "Mode": "enforce",
                "Regions": "eu-west-1,us-east-1",
                "Members": MEMBER,
                "Organization": "o-exampleorgid",
                "Email": "a@example.com",
                "SettingsParameter": "/kms-monitor/settings",
                "ConfigRule": "yes",
                "Concurrency": "5",
                "Architecture": "x86_64",
            },
        ),
    ],
    ids=["enforce", "least", "many"],
)
def test_serverless_is_the_same_as_the_stack(
    environment: dict[str, str], given: dict[str, Any], same: dict[str, str], tmp_path: Path
) -> None:
    found = made(environment, copy_of("serverless", tmp_path), HOME, **CODE, **given)
    stack = Stack(template("serverless"), HOME, REGION, **SAME_CODE, **same)
    assert found.policies() == policies_of(stack)
    rules = stack.resources("Events::Rule")
    on_events = [one for one in rules.values() if "EventPattern" in one]
    sweep = [one for one in rules.values() if "ScheduleExpression" in one]
    expected = {one["Name"]: (one["State"], one["EventPattern"]) for one in on_events}
    ours = {one["name"]: one for one in found.of("aws_cloudwatch_event_rule")}
    assert {
        name: (one["state"], json.loads(one["event_pattern"]))
        for name, one in ours.items()
        if name in expected
    } == expected
    assert {
        one["schedule_expression"] for one in found.of("aws_cloudwatch_event_rule", "sweep")
    } == {one["ScheduleExpression"] for one in sweep}
    assert ours.keys() - expected.keys() == {one["Name"] for one in sweep}
    for one in found.of("aws_cloudwatch_event_target"):
        assert one["arn"] == stack.attribute("Function", "Arn")
        assert one["dead_letter_config"] == [{"arn": stack.attribute("DeadLetters", "Arn")}]
        assert one["retry_policy"][0]["maximum_event_age_in_seconds"] == 86_400
    permissions = list(found.of("aws_lambda_permission"))
    assert len(permissions) == len(stack.resources("Lambda::Permission"))
    assert {one["principal"] for one in permissions} == {
        one["Principal"] for one in stack.resources("Lambda::Permission").values()
    }
    the_same_function(found, stack)
    assert len(list(found.of("aws_config_config_rule"))) == len(
        stack.resources("Config::ConfigRule")
    )
    alarms = {one["AlarmName"]: one for one in stack.resources("CloudWatch::Alarm").values()}
    there = {one["alarm_name"]: one for one in found.of("aws_cloudwatch_metric_alarm")}
    assert there.keys() == alarms.keys()
    for name, one in there.items():
        assert {each: one[each] for each in ALARM} == {
            each: alarms[name][its_name] for each, its_name in ALARM.items()
        }
    (topic,) = found.of("aws_sns_topic_policy")
    other = stack.resources("SNS::TopicPolicy")["TopicPolicy"]["PolicyDocument"]
    assert without_names(json.loads(topic["policy"])) == without_names(other)


def the_same_function(found: Made, stack: Stack) -> None:
    (one,) = found.of("aws_lambda_function")
    other = stack.resources("Lambda::Function")["Function"]
    same = {
        "function_name": "FunctionName",
        "runtime": "Runtime",
        "handler": "Handler",
        "memory_size": "MemorySize",
        "timeout": "Timeout",
        "architectures": "Architectures",
        "description": "Description",
    }
    assert {name: one[name] for name in same} == {
        name: other[its_name] for name, its_name in same.items()
    }
    reserved = other.get("ReservedConcurrentExecutions")
    assert reserved is None or one["reserved_concurrent_executions"] == int(reserved)
    ours, its = one["environment"][0]["variables"], other["Environment"]["Variables"]
    assert ours.keys() == its.keys()
    if "KMS_MONITOR_CONFIG" in its:
        assert ours == its
    else:
        settings, others = (yaml.safe_load(each["KMS_MONITOR_SETTINGS"]) for each in (ours, its))
        del others["watched"]["deployments"]  # a stack is one, a module is none
        # A mock makes the queue's address up.
        for each in (settings, others):
            del each["function"]["failure_queue"]["url"]
        assert settings == others
        read_text(ours["KMS_MONITOR_SETTINGS"].encode(), "settings", {"AWS_REGION": REGION})
