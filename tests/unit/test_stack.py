"""The templates in deploy/aws: made from the same tables as the code, closed to others, and never blinded."""

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.session import Session
from botocore.validate import ParamValidator
from typer.testing import CliRunner

from monitor.cli import app
from monitor.pattern_command import wanted_by
from monitor.rights import policies, table
from monitor.rights.command import needs_of
from monitor.settings import Settings
from monitor.sight.pattern_writer import GLOBAL, rule_patterns
from monitor.sight.rules import lost
from monitor.stack.writing import MOST
from tests.stacks import AWS, Stack, template
from tests.tables import template as table_template

with warnings.catch_warnings():
    warnings.simplefilter("ignore", ResourceWarning)  # it leaves its own files open
    import parliament

HOME, MEMBER, REGION = "111122223333", "444455556666", "eu-west-1"
CONFIG = AWS / "kms-monitor.yaml"
THERE = {
    "Home": HOME,
    "HomeRegion": REGION,
    "ExternalId": "a-long-random-word",
    "Regions": "eu-west-1,us-east-1",
    "RolesIn": REGION,
}
EVERY_EVENT = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"


def home(**given: str) -> Stack:
    return Stack(template("home"), HOME, REGION, **{"Mode": "enforce"} | given)


def member(account: str = MEMBER, region: str = REGION, **given: str) -> Stack:
    return Stack(template("member"), account, region, **{"Mode": "enforce"} | THERE | given)


def serverless(**given: str) -> Stack:
    code = {"CodeBucket": "code", "CodeKey": "kms-monitor.zip"}
    return Stack(template("serverless"), HOME, REGION, **{"Mode": "enforce"} | code | given)


def generate(*words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["generate", "stack", *words])
    return result.exit_code, result.stdout, result.stderr


def documents(stack: Stack) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every policy of a stack, with the place where it stands."""
    for name, one in stack.resources("IAM::Role").items():
        for each in one["Policies"]:
            yield f"{name} {each['PolicyName']}", each["PolicyDocument"]
        trust = one["AssumeRolePolicyDocument"]
        yield f"trust of {name}", json.loads(trust) if isinstance(trust, str) else trust
    for kind in ("SQS::QueuePolicy", "SNS::TopicPolicy"):
        for name, one in stack.resources(kind).items():
            yield name, one["PolicyDocument"]


def document(stack: Stack, name: str) -> dict[str, Any]:
    return dict(documents(stack))[name]


def actions(made: dict[str, Any], effect: str = "Allow") -> set[str]:
    found: set[str] = set()
    for one in made["Statement"]:
        if one["Effect"] == effect:
            found |= {one["Action"]} if isinstance(one["Action"], str) else set(one["Action"])
    return found


EVERY_STACK = {
    "home": home(),
    "home, observing": home(Mode="observe", Store="sqlite", Canary="no"),
    "home of many": home(Members=MEMBER, Organization="o-exampleorgid", Email="a@example.com"),
    "home with irsa": home(RunsOn="eks-irsa", OidcProvider="oidc.example.com/id/X"),
    "home on ec2": home(RunsOn="ec2"),
    "home with a cluster": home(Cluster="prod", Regions="eu-west-1,us-east-1"),
    "member": member(),
    "member, observing": member(Mode="observe"),
    "another Region": member(region="us-east-1"),
    "global only": member(region="us-east-1", Events="global"),
    "home's other Region": member(account=HOME, region="us-east-1", RolesIn="us-east-1"),
    "serverless": serverless(),
    "serverless, observing": serverless(Mode="observe", SweepEvery="never"),
    "serverless with all": serverless(
        Members=MEMBER,
        Organization="o-exampleorgid",
        SettingsParameter="/kms-monitor/settings",
        ConfigRule="yes",
        Concurrency="5",
        Email="a@example.com",
    ),
}


# -- the files


@pytest.mark.parametrize("kind", ["home", "member", "serverless"])
def test_the_templates_in_deploy_are_up_to_date(kind: str) -> None:
    """If not: make reference."""
    code, out, err = generate("--config", str(CONFIG), "--kind", kind)
    assert (code, err) == (0, "")
    assert (AWS / f"{kind}.yaml").read_text("utf-8") == out
    assert json.loads(generate("--config", str(CONFIG), "--kind", kind, "--json")[1]) == template(
        kind
    )


@pytest.mark.parametrize("config", [CONFIG, CONFIG.parents[2] / "config/example.yaml"])
@pytest.mark.parametrize("kind", ["home", "member", "serverless"])
def test_a_template_can_be_given_to_cloudformation_as_such(kind: str, config: Path) -> None:
    _, out, _ = generate("--config", str(config), "--kind", kind)
    assert 0 < len(out.encode()) <= MOST


@pytest.mark.parametrize("kind", ["home", "member", "serverless"])
def test_the_data_of_the_terraform_modules_is_up_to_date(kind: str, tmp_path: Path) -> None:
    """If not: make reference."""
    words = ("--config", str(CONFIG), "--kind", kind, "--terraform", str(tmp_path))
    code, out, _ = generate(*words)
    assert (code, len(out.splitlines())) == (0, 2)
    for name in ("rules.json", "rights.json.tftpl"):
        there = AWS.parent / "terraform" / kind / name
        assert there.read_text("utf-8") == (tmp_path / name).read_text("utf-8")


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    code, _, err = generate("--config", str(CONFIG), "--terraform", str(tmp_path / "none"))
    assert code == 2
    assert "cannot be written: No such file or directory" in err


def test_the_parameters_of_a_stack_set_are_those_that_aws_knows() -> None:
    asked = json.loads((AWS / "stack-set.json").read_text("utf-8"))
    model = Session().get_service_model("cloudformation").operation_model("CreateStackSet")
    asked_with_body = asked | {"TemplateBody": "x"}
    assert model.input_shape is not None
    report = ParamValidator().validate(asked_with_body, model.input_shape)
    assert not report.has_errors(), report.generate_report()
    given = {one["ParameterKey"]: one["ParameterValue"] for one in asked["Parameters"]}
    Stack(template("member"), MEMBER, REGION, **given)
    # With the permissions of the service, new accounts get the stack by themselves.
    assert (asked["PermissionModel"], asked["AutoDeployment"]["Enabled"]) == (
        "SERVICE_MANAGED",
        True,
    )


# -- the same tables as the code


def test_rules_are_what_the_detectors_look_at() -> None:
    patterns = [(json.loads(one.text), bool(one.reads)) for one in rule_patterns(wanted_by(CONFIG))]
    for stack in (home(), member(), serverless(SweepEvery="never")):
        rules = stack.resources("Events::Rule").values()
        made = [
            (one["EventPattern"], one["State"] == EVERY_EVENT)
            for one in rules
            if "EventBusName" not in one
        ]
        assert made == patterns


def test_us_east_1_alone_has_what_is_nowhere_else() -> None:
    rules = EVERY_STACK["global only"].resources("Events::Rule").values()
    calls = [one for one in wanted_by(CONFIG).calls if one[0] in GLOBAL]
    assert len(calls) > 30
    left = set(calls)
    for one in rules:
        left &= set(lost(one["EventPattern"], list(left), account=MEMBER, region="us-east-1"))
    assert left == set()
    assert not any("kms.amazonaws.com" in json.dumps(one) for one in rules)


@pytest.mark.parametrize("mode", ["observe", "enforce"])
def test_rights_are_those_of_generate_iam(mode: str) -> None:
    needs = needs_of(CONFIG, None)
    needs.settings = needs.settings.model_copy(update={"mode": mode})
    extra = {"kms:EnableKey", *(call for right in table.REMEMBER for call in right.calls)}
    made = set[str]().union(
        *(actions(one) for name, one in documents(home(Mode=mode)) if name.startswith("Role "))
    )
    assert made - extra == actions(policies.home_policy(needs)) - {
        # It knows that the daemon is a role.
        "iam:ListAttachedUserPolicies",
        "kms:EnableKey",
    }
    assert ("kms:CancelKeyDeletion" in made) is (mode == "enforce")
    entered = set[str]().union(
        *(actions(one) for name, one in documents(member(Mode=mode)) if name.startswith("Role "))
    )
    assert entered <= made
    assert not {one for one in entered if one.startswith(("sqs:", "sns:", "sts:", "dynamodb:"))}


@pytest.mark.parametrize("kind", ["home", "member", "serverless"])
def test_writing_is_asked_for(kind: str, tmp_path: Path) -> None:
    """Also where the settings that it is made from enforce."""
    assert "mode: enforce" in CONFIG.read_text("utf-8")
    assert template(kind)["Parameters"]["Mode"]["Default"] == "observe"


@pytest.mark.parametrize("name", ["home, observing", "member, observing", "serverless, observing"])
def test_in_mode_observe_nothing_is_written(name: str) -> None:
    allowed = set[str]().union(
        *(actions(one) for each, one in documents(EVERY_STACK[name]) if each.startswith("Role "))
    )
    writing = {one for one in allowed if one.startswith("kms:")} - {
        "kms:DescribeKey",
        "kms:ListKeys",
        "kms:ListAliases",
        *table.LOOK[1].calls,
    }
    assert writing == set()


@pytest.mark.parametrize(
    "stack", [home(), member(), serverless()], ids=["home", "member", "serverless"]
)
def test_it_may_take_no_key_away(stack: Stack) -> None:
    assert actions(document(stack, "Role Look"), "Deny") == set(table.NEVER)


def test_rights_are_on_the_guarded_regions_and_this_account_alone() -> None:
    for stack, account in ((EVERY_STACK["home with a cluster"], HOME), (member(), MEMBER)):
        (one,) = (
            each
            for each in document(stack, "Role Repair")["Statement"]
            if each["Sid"] == "RestoreState"
        )
        assert one["Resource"] == f"arn:aws:kms:*:{account}:key/*"
        regions = {"aws:RequestedRegion": ["eu-west-1", "us-east-1"]}
        assert one["Condition"] == {"StringEquals": regions}


def test_other_accounts_are_entered_only_if_they_are_named() -> None:
    assert "Role Enter" not in dict(documents(home()))
    members, own = document(EVERY_STACK["home of many"], "Role Enter")["Statement"]
    assert members["Condition"] == {"StringEquals": {"aws:ResourceAccount": [MEMBER]}}
    assert own["Condition"] == {"StringEquals": {"aws:ResourceOrgID": "o-exampleorgid"}}
    assert members["Resource"] == own["Resource"] == "arn:aws:iam::*:role/kms-monitor"


def test_the_table_is_the_one_of_the_other_template() -> None:
    made = home().resources("DynamoDB::Table")["Table"]
    alone = table_template()["Resources"]["Table"]["Properties"]
    assert made == alone | {"TableName": "kms-monitor"}
    assert template("home")["Resources"]["Table"]["DeletionPolicy"] == "Retain"


# -- valid, and as narrow as AWS lets it be


@pytest.mark.parametrize("name", EVERY_STACK)
def test_a_linter_finds_nothing_in_the_policies(name: str) -> None:
    for place, made in documents(EVERY_STACK[name]):
        found = parliament.analyze_policy_string(json.dumps(made)).findings
        texts = [f"{one.issue} {one.detail}" for one in found]
        if place.startswith("trust of"):
            # It knows no trust policies: what they are about is the role that they are attached to;
            # nor a cluster's own provider.
            texts = [one for one in texts if "neither Resource nor" not in one]
            texts = [one for one in texts if "FEDERATION_SOURCE" not in one]
        # Younger than its list: KMS API reference.
        texts = [one for one in texts if "kms:GetKeyLastUsage" not in one]
        assert texts == [], place


@pytest.mark.parametrize("name", EVERY_STACK)
def test_a_roles_policies_are_not_too_long_for_iam(name: str) -> None:
    """10,240 characters of inline policies, 2,048 of trust (IAM quotas)."""
    for role in EVERY_STACK[name].resources("IAM::Role").values():
        assert sum(policies.size(one["PolicyDocument"]) for one in role["Policies"]) <= 10_240
        trust = role["AssumeRolePolicyDocument"]
        assert (len(trust) if isinstance(trust, str) else policies.size(trust)) <= 2048


@pytest.mark.parametrize("queue", ["Queue", "DeadLetters"])
def test_only_the_stacks_own_rules_send_into_its_queues(queue: str) -> None:
    stack = home(Name="guard")
    made = document(stack, f"{queue}Policy")
    allow, deny = made["Statement"]
    senders = allow["Condition"]["ArnLike"]["aws:SourceArn"]
    rules = stack.resources("Events::Rule")
    assert sorted(senders) == sorted(stack.attribute(name, "Arn") for name in rules)
    assert f"arn:aws:events:{REGION}:{HOME}:rule/guard/guard-forwarded" in senders
    assert allow["Action"] == "sqs:SendMessage"
    assert (deny["Effect"], deny["Condition"]) == (
        "Deny",
        {"Bool": {"aws:SecureTransport": "false"}},
    )


def test_only_the_daemon_and_the_alarms_publish() -> None:
    made = document(home(), "TopicPolicy")["Statement"]
    daemon, alarms = (one for one in made if one["Effect"] == "Allow")
    role = f"arn:aws:iam::{HOME}:role/kms-monitor"
    assert daemon["Condition"] == {"ArnEquals": {"aws:PrincipalArn": role}}
    assert alarms["Condition"]["StringEquals"] == {"aws:SourceAccount": HOME}
    names = {one["AlarmName"] for one in home().resources("CloudWatch::Alarm").values()}
    start = alarms["Condition"]["ArnLike"]["aws:SourceArn"].rpartition(":alarm:")[2].rstrip("*")
    assert all(name.startswith(start) for name in names)


def test_the_bus_takes_events_of_known_accounts_alone() -> None:
    assert home().resources("Events::EventBusPolicy") == {}
    made = EVERY_STACK["home of many"].resources("Events::EventBusPolicy")
    members = made["BusPolicyMembers"]["Statement"]
    anybody = made["BusPolicyOrganization"]["Statement"]
    assert members["Principal"] == {"AWS": [MEMBER]}
    assert anybody["Condition"] == {"StringEquals": {"aws:PrincipalOrgID": "o-exampleorgid"}}
    rule = home().resources("Events::Rule")["RuleForwarded"]
    assert (rule["EventPattern"], rule["State"]) == ({"source": [{"prefix": "aws."}]}, EVERY_EVENT)


@pytest.mark.parametrize(
    ("stack", "expected"),
    [
        (
            EVERY_STACK["home with irsa"],
            {
                "StringEquals": {
                    "oidc.example.com/id/X:aud": "sts.amazonaws.com",
                    "oidc.example.com/id/X:sub": "system:serviceaccount:kms-monitor:kms-monitor",
                }
            },
        ),
        (
            EVERY_STACK["home with a cluster"],
            {
                "StringEquals": {
                    "aws:RequestTag/kubernetes-namespace": "kms-monitor",
                    "aws:RequestTag/kubernetes-service-account": "kms-monitor",
                    "aws:RequestTag/eks-cluster-name": "prod",
                }
            },
        ),
        (EVERY_STACK["home on ec2"], None),
    ],
    ids=["irsa", "pod identity", "ec2"],
)
def test_who_may_be_the_daemon(stack: Stack, expected: dict[str, Any] | None) -> None:
    (one,) = document(stack, "trust of Role")["Statement"]
    assert one.get("Condition") == expected
    if expected is None:
        assert one["Principal"] == {"Service": "ec2.amazonaws.com"}
    assert bool(stack.resources("IAM::InstanceProfile")) is (expected is None)


def test_a_cluster_gets_its_association() -> None:
    (one,) = EVERY_STACK["home with a cluster"].resources("EKS::PodIdentityAssociation").values()
    assert one["RoleArn"] == f"arn:aws:iam::{HOME}:role/kms-monitor"
    assert not home().resources("EKS::PodIdentityAssociation")


def test_who_may_enter_a_member() -> None:
    enter, tags = document(member(), "trust of Role")["Statement"]
    daemon = f"arn:aws:iam::{HOME}:role/kms-monitor"
    assert enter["Condition"] == {
        "ArnEquals": {"aws:PrincipalArn": daemon},
        "StringEquals": {"sts:ExternalId": "a-long-random-word"},
    }
    assert (tags["Action"], tags["Principal"]) == ("sts:TagSession", enter["Principal"])
    assert template("member")["Parameters"]["ExternalId"]["NoEcho"] is True
    assert "Default" not in template("member")["Parameters"]["ExternalId"]


def test_roles_are_made_once_in_an_account_and_rules_in_every_region() -> None:
    assert set(member().resources("IAM::Role")) == {"Role", "Forwarder"}
    assert set(EVERY_STACK["another Region"].resources("IAM::Role")) == set()
    assert set(EVERY_STACK["home's other Region"].resources("IAM::Role")) == {"Forwarder"}
    bus = f"arn:aws:events:{REGION}:{HOME}:event-bus/kms-monitor"
    for one in EVERY_STACK["another Region"].resources("Events::Rule").values():
        (target,) = one["Targets"]
        assert (target["Arn"], target["RoleArn"]) == (
            bus,
            f"arn:aws:iam::{MEMBER}:role/kms-monitor-forward",
        )
    (allowed,) = document(member(), "Forwarder SendHome")["Statement"]
    assert (allowed["Action"], allowed["Resource"]) == ("events:PutEvents", bus)


# -- no attack on a key blinds it, and nothing is lost


@pytest.mark.parametrize("kind", ["home", "member", "serverless"])
def test_nothing_is_encrypted_under_a_key_of_the_account(kind: str) -> None:
    for one in template(kind)["Resources"].values():
        named = {name for name in one["Properties"] if "kms" in name.lower()}
        assert named == set()
        sse = one["Properties"].get("SSESpecification", {"SSEEnabled": False})
        assert sse == {"SSEEnabled": False}


def test_messages_are_kept_for_a_fortnight() -> None:
    queues = home().resources("SQS::Queue")
    for one in queues.values():
        assert one["MessageRetentionPeriod"] == 14 * 86400
        assert one["SqsManagedSseEnabled"] is True
    redrive = queues["Queue"]["RedrivePolicy"]
    assert redrive["deadLetterTargetArn"] == home().attribute("DeadLetters", "Arn")
    assert queues["DeadLetters"]["RedriveAllowPolicy"]["sourceQueueArns"] == [
        home().attribute("Queue", "Arn")
    ]
    for one in home().resources("Events::Rule").values():
        (target,) = one["Targets"]
        assert target["DeadLetterConfig"] == {"Arn": home().attribute("DeadLetters", "Arn")}


def test_alarms_sound_when_there_is_no_data_at_all() -> None:
    """A daemon that is down, or a trail that is stopped, sends none."""
    alarms = home().resources("CloudWatch::Alarm")
    missing = {name: one["TreatMissingData"] for name, one in alarms.items()}
    assert missing == {
        "AlarmNotRead": "breaching",
        "AlarmNoEvents": "breaching",
        "AlarmOld": "notBreaching",
        "AlarmDeadLetters": "notBreaching",
    }
    assert all(one["AlarmActions"] == [home().ref("Topic")] for one in alarms.values())
    # Without a canary a quiet account has no events.
    assert "AlarmNoEvents" not in EVERY_STACK["home, observing"].resources("CloudWatch::Alarm")


def test_alarms_are_on_metrics_that_sqs_has() -> None:
    """SQS developer guide, "Available CloudWatch metrics for Amazon SQS"."""
    known = {
        "ApproximateAgeOfOldestMessage",
        "ApproximateNumberOfMessagesVisible",
        "NumberOfEmptyReceives",
        "NumberOfMessagesReceived",
        "NumberOfMessagesSent",
    }
    used = set()
    for one in home().resources("CloudWatch::Alarm").values():
        measured = [each["MetricStat"]["Metric"] for each in one.get("Metrics", [])[:-1]] or [one]
        for each in measured:
            assert each["Namespace"] == "AWS/SQS"
            (dimension,) = each["Dimensions"]
            assert dimension["Value"] in {"kms-monitor", "kms-monitor-dlq"}
            used.add(each["MetricName"])
    assert used == known


# -- what comes out, and settings of others


@pytest.mark.parametrize(
    "name", [one for one in EVERY_STACK if one.split()[0] in {"home", "home,"}]
)
def test_the_settings_that_come_out_are_settings(name: str) -> None:
    stack = EVERY_STACK[name]
    found = Settings.model_validate(yaml.safe_load(stack.outputs()["Settings"]))
    assert found.mode == stack.parameters["Mode"]
    assert [one.arn for one in found.queues] == [stack.attribute("Queue", "Arn")]
    assert found.store.kind == stack.parameters["Store"]
    assert bool(found.canary.keys) is (stack.parameters["Canary"] == "yes")


SETTINGS = """
mode: observe
accounts:
  - {id: "111122223333", regions: [eu-west-1, eu-central-1]}
  - {id: "444455556666", regions: [eu-west-1], role_arn: "arn:aws:iam::444455556666:role/guard"}
queues: [{url: "https://sqs.eu-west-1.amazonaws.com/111122223333/q", region: eu-west-1}]
organizations:
  - path: o-exampleorgid/r-ex01/ou-ex01-11111111/
    role_name: ROLE
    regions: [eu-west-1]
default_detectors: false
detectors: {key_disabled: {}}
responders: {restore_key: {aspects: [state]}}
canary: {keys: ["arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"]}
"""


def made_for(tmp_path: Path, kind: str, role: str = "guard") -> dict[str, Any]:
    file = tmp_path / "settings.yaml"
    file.write_text(SETTINGS.replace("ROLE", role))
    code, out, err = generate("--config", str(file), "--kind", kind, "--json")
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def test_own_settings_choose_rules_rights_and_what_parameters_begin_with(tmp_path: Path) -> None:
    source = made_for(tmp_path, "home")
    stack = Stack(source, HOME, REGION)
    assert stack.parameters["Mode"] == "observe"
    assert stack.parameters["Name"] == "guard"
    assert stack.parameters["Regions"] == ["eu-west-1", "eu-central-1"]
    assert stack.parameters["Members"] == [MEMBER]
    assert stack.parameters["Organization"] == "o-exampleorgid"
    patterns = [one["EventPattern"] for one in stack.resources("Events::Rule").values()]
    assert {"DisableKey"} == {
        name for one in patterns for name in one.get("detail", {}).get("eventName", ())
    }
    (asks,) = document(stack, "Role Ask")["Statement"]
    assert "organizations:ListAccountsForParent" in asks["Action"]
    (canary,) = (one for one in document(stack, "Role Look")["Statement"] if one["Sid"] == "Canary")
    assert len(canary["Resource"]) == 2
    enforcing = Stack(source, HOME, REGION, Mode="enforce", Canary="no")
    assert actions(document(enforcing, "Role Repair")) == {
        "kms:CancelKeyDeletion",
        "kms:EnableKey",
        "kms:ConnectCustomKeyStore",
    }
    (canary,) = (
        one for one in document(enforcing, "Role Look")["Statement"] if one["Sid"] == "Canary"
    )
    assert len(canary["Resource"]) == 1


@pytest.mark.parametrize("role", ["other", "path/guard"])
def test_roles_of_several_names_are_refused(tmp_path: Path, role: str) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(SETTINGS.replace("ROLE", role))
    code, out, err = generate("--config", str(file))
    assert (code, out) == (2, "")
    assert "a stack's roles have one name and no path" in err
