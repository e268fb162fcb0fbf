"""The rights that the settings ask for, and the policies made from them.

In scope: `monitor.rights`. The linter (parliament) brings its own copy of AWS's list of actions and resources.
"""

import json
import re
import warnings
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import monitor
from monitor.assembly import load
from monitor.cli import app
from monitor.finding import Aspect
from monitor.repair.plan import Call
from monitor.rights import policies, table
from monitor.rights.enabled import MOST, Needs
from monitor.rights.table import Right
from monitor.settings import Settings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", ResourceWarning)  # it leaves its own files open
    import parliament

ROOT = Path(monitor.__file__).parent.parent
HOME, MEMBER = "111122223333", "444455556666"
SNS = {"topic_arn": f"arn:aws:sns:eu-west-1:{HOME}:people"}
BUS = f"arn:aws:events:eu-west-1:{HOME}:event-bus/security"
ROLE = f"arn:aws:iam::{MEMBER}:role/ops/kms-monitor"


def needs(**changes: Any) -> Needs:
    document: dict[str, Any] = {
        "mode": "enforce",
        "accounts": [{"id": HOME, "regions": ["eu-west-1"]}],
        "queues": [
            {"url": f"https://sqs.eu-west-1.amazonaws.com/{HOME}/guard", "region": "eu-west-1"}
        ],
        "responders": {"restore_key": {}, "sns": SNS},
    }
    settings = Settings.model_validate(document | changes)
    return Needs(settings, load(settings, Path("settings.yaml")))


def member(**changes: Any) -> dict[str, Any]:
    return {"id": MEMBER, "regions": ["eu-west-1"], "role_arn": ROLE, **changes}


def actions(document: dict[str, Any], effect: str = "Allow") -> set[str]:
    found: set[str] = set()
    for one in document["Statement"]:
        if one["Effect"] == effect:
            found |= {one["Action"]} if isinstance(one["Action"], str) else set(one["Action"])
    return found


def statement(document: dict[str, Any], sid: str) -> dict[str, Any]:
    found = [one for one in document["Statement"] if one["Sid"] == sid]
    assert len(found) == 1
    return dict(found[0])


EVERYTHING = {
    "accounts": [{"id": HOME, "regions": ["eu-west-1"]}, member(external_id="one of two")],
    "organizations": [
        {"path": "o-exampleorgid/r-ex01/", "role_name": "guard", "regions": ["us-east-1"]}
    ],
    "queues": [
        {
            "url": f"https://sqs.eu-west-1.amazonaws.com/{HOME}/guard",
            "region": "eu-west-1",
            "priority": "bulk",
        }
    ],
    "canary": {"keys": [f"arn:aws:kms:eu-west-1:{HOME}:key/1"]},
    "verify_digests": True,
    "watched": {"buckets": ["arn:aws:s3:::trail"]},
    "escrows": {"secretsmanager": {"secret": "kms/{key_id}", "region": "eu-west-1"}},
    "sns_topics": [f"arn:aws:sns:eu-west-1:{HOME}:events"],
    "responders": {
        "restore_key": {},
        "sns": SNS,
        "eventbridge": {"bus_arn": BUS},
        "email": {"region": "eu-west-1", "sender": "a@example.org", "recipients": ["b@c.org"]},
        "security_hub": {},
    },
}


# -- the table


def test_every_call_of_the_daemon_is_in_the_table() -> None:
    """Commands for people (dead letters, replay) have rights of their own."""
    apart = ("simulator", "demo", "dlq", "replay", "checking", "testing", "material")
    text = "".join(
        path.read_text("utf-8")
        for path in (ROOT / "monitor").rglob("*.py")
        if path.relative_to(ROOT / "monitor").parts[0] not in apart
    )
    called = {
        f"{service}:{name}" for service, name in re.findall(r'calling\(\s*"(\w+)", "(\w+)"', text)
    }
    # The service that hands settings out has its rights among those of the service that keeps them.
    called = {one.replace("appconfigdata:", "appconfig:") for one in called}
    called = {one.removesuffix("Batch") for one in called} - {"sts:GetCallerIdentity"}
    # `contain list` and `contain release` (docs/contain.md)
    called -= {"iam:GetAccountAuthorizationDetails", "iam:ListRolePolicies", "iam:DeleteRolePolicy"}
    parts = [value for value in vars(table).values() if isinstance(value, tuple)]
    parts += table.RESTORE.values()
    listed = {
        call for part in parts for one in part if isinstance(one, Right) for call in one.calls
    }
    assert called - listed == set()
    assert {"kms:CancelKeyDeletion", "kms:EnableKey"} <= listed


def test_every_aspect_of_a_key_has_its_calls() -> None:
    assert set(table.RESTORE) == set(Aspect)


def test_every_call_of_a_repair_is_in_the_table_and_no_other() -> None:
    listed = {call for rights in table.RESTORE.values() for one in rights for call in one.calls}
    listed |= {call for one in table.REIMPORT for call in one.calls if "Import" in call}
    # An alias that was deleted is made anew by the step that points it.
    planned = {f"kms:{one.value}" for one in Call} | {"kms:CreateAlias"}
    assert listed == planned | {"kms:GetParametersForImport"}


def test_a_secret_is_named_as_far_as_its_name_is_known() -> None:
    found = statement(policies.home_policy(needs(escrows=EVERYTHING["escrows"])), "ReadEscrow")
    assert found["Resource"] == f"arn:aws:secretsmanager:eu-west-1:{HOME}:secret:kms/*-??????"
    role = f"arn:aws:iam::{MEMBER}:role/escrow"
    options = {"secret": "kms", "region": "eu-west-1", "role_arn": role}
    made = policies.home_policy(needs(escrows={"secretsmanager": options}))
    assert statement(made, "Enter")["Resource"] == role
    assert "ReadEscrow" not in {one["Sid"] for one in made["Statement"]}


def test_sids_are_unique_in_each_policy() -> None:
    made = policies.home_policy(needs(**EVERYTHING))
    sids = [one["Sid"] for one in made["Statement"]]
    assert len(sids) == len(set(sids))


def test_who_tells_may_do_so_on_what_the_settings_name_and_nowhere_else() -> None:
    made = policies.home_policy(needs(**EVERYTHING))
    assert statement(made, "TellOnBus")["Resource"] == BUS
    start = f"arn:aws:ses:eu-west-1:{HOME}:identity"
    senders = statement(made, "TellByEmail")["Resource"]
    assert sorted(senders) == [f"{start}/a@example.org", f"{start}/example.org"]


# -- what is enabled decides


def test_nothing_is_written_by_one_that_observes() -> None:
    assert "kms:EnableKey" not in actions(policies.home_policy(needs(mode="observe")))
    one = needs(mode="observe", detectors={"key_disabled": {"mode": "enforce"}})
    assert "kms:EnableKey" in actions(policies.home_policy(one))


@pytest.mark.parametrize(
    ("changes", "call"),
    [
        ({"responders": {"restore_key": {}}}, "sns:Publish"),
        ({"responders": {"sns": SNS}}, "kms:CancelKeyDeletion"),
        ({"watched": {"discover": False}}, "cloudtrail:DescribeTrails"),
    ],
)
def test_what_is_off_needs_nothing(changes: dict[str, Any], call: str) -> None:
    assert call in actions(policies.home_policy(needs()))
    assert call not in actions(policies.home_policy(needs(**changes)))


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("organizations", "organizations:ListAccountsForParent"),
        ("accounts", "sts:AssumeRole"),
        ("queues", "s3:GetObject"),
        ("verify_digests", "cloudtrail:ListPublicKeys"),
        ("escrows", "secretsmanager:GetSecretValue"),
        ("escrows", "kms:ImportKeyMaterial"),
        ("responders", "events:PutEvents"),
        ("responders", "ses:SendEmail"),
        ("responders", "securityhub:BatchImportFindings"),
    ],
)
def test_what_is_on_brings_its_calls(name: str, call: str) -> None:
    assert call not in actions(policies.home_policy(needs()))
    assert call in actions(policies.home_policy(needs(**{name: EVERYTHING[name]})))


def test_the_daemon_denies_itself_what_takes_keys_away() -> None:
    one = needs(**EVERYTHING)
    for made in (policies.home_policy(one), policies.member_policy(one, MEMBER)):
        assert actions(made, "Deny") == set(table.NEVER)
        assert not actions(made) & set(table.NEVER)


def test_a_member_has_the_rights_on_its_own_keys_and_none_of_the_daemons_home() -> None:
    made = policies.member_policy(needs(**EVERYTHING), MEMBER)
    assert statement(made, "RestoreState")["Resource"] == f"arn:aws:kms:eu-west-1:{MEMBER}:key/*"
    assert statement(made, "CheckRights")["Resource"] == ROLE
    assert not {one for one in actions(made) if one.startswith(("sqs:", "sns:", "sts:"))}
    assert "iam:ListAttachedUserPolicies" not in actions(made)
    assert "Canary" not in {one["Sid"] for one in made["Statement"]}


def test_members_of_an_organization_share_one_policy() -> None:
    one = needs(**EVERYTHING)
    assert statement(policies.member_policy(one, "*"), "Look")["Resource"] == (
        "arn:aws:kms:us-east-1:*:key/*"
    )
    made = policies.member_policy(one, "777788889999")
    assert statement(made, "Look")["Resource"] == "arn:aws:kms:us-east-1:777788889999:key/*"
    assert statement(made, "CheckRights")["Resource"] == "arn:aws:iam::777788889999:role/guard"
    assert statement(policies.home_policy(one), "Enter")["Resource"] == [
        "arn:aws:iam::*:role/guard",
        ROLE,
    ]


def test_many_regions_are_named_once() -> None:
    regions = [f"eu-west-{number}" for number in range(1, 7)]
    accounts = [{"id": HOME, "regions": regions}]
    look = statement(policies.home_policy(needs(accounts=accounts)), "Look")
    assert look["Resource"] == f"arn:aws:kms:*:{HOME}:key/*"
    assert look["Condition"] == {"StringEquals": {"aws:RequestedRegion": regions}}


def test_a_policy_for_every_aspect_and_region_is_not_too_long() -> None:
    regions = ["eu-west-1", *(f"ap-southeast-{n}" for n in range(1, 10))] * 3
    told = {"restore_key": {}, "sns": SNS}  # people are not told in every way that there is
    accounts = [{"id": HOME, "regions": regions}]
    one = needs(**EVERYTHING | {"accounts": accounts, "responders": told})
    made = policies.document([policies.allow(each) for each in one.asked_at_home()])
    made["Statement"] += [policies.allow(each) for each in one.asked_in(one.settings.accounts[0])]
    made["Statement"].append(policies.never())
    assert policies.size(made) > MOST
    short = policies.short(made)
    assert policies.size(short) <= MOST
    assert actions(short) == actions(made)
    assert actions(short, "Deny") == set(table.NEVER)


# -- who may come in


def test_trust_is_for_the_daemon_alone_and_asks_for_the_external_id() -> None:
    daemon = f"arn:aws:iam::{HOME}:role/kms-monitor"
    one = needs(**EVERYTHING)
    entry, tags = policies.trust_policy(one, MEMBER, daemon)["Statement"]
    assert entry["Principal"] == {"AWS": f"arn:aws:iam::{HOME}:root"}
    assert entry["Condition"] == {
        "ArnEquals": {"aws:PrincipalArn": daemon},
        "StringEquals": {"sts:ExternalId": "one of two"},
    }
    assert (entry["Action"], tags["Action"]) == ("sts:AssumeRole", "sts:TagSession")
    assert tags["Principal"] == entry["Principal"]
    assert tags["Condition"] == {"ArnEquals": {"aws:PrincipalArn": daemon}}
    entry, _ = policies.trust_policy(one, "*", daemon)["Statement"]
    assert "StringEquals" not in entry["Condition"]


def test_every_sender_into_the_queue_is_named() -> None:
    one = needs(**EVERYTHING)
    queue = one.settings.queues[0]
    made = policies.queue_policy(one, queue, ["arn:aws:events:eu-west-1:111122223333:rule/x"])
    for entry in made["Statement"]:
        if entry["Effect"] == "Allow":
            assert any("aws:SourceArn" in values for values in entry["Condition"].values())
            assert entry["Resource"] == queue.arn
    bucket = statement(made, "FromBucket")["Condition"]
    assert bucket["StringEquals"] == {"aws:SourceAccount": [HOME, MEMBER]}
    assert statement(made, "TlsOnly")["Effect"] == "Deny"


# -- valid for AWS


def every_document() -> list[tuple[str, dict[str, Any]]]:
    one, few = needs(**EVERYTHING), needs()
    daemon = f"arn:aws:iam::{HOME}:role/kms-monitor"
    queue = one.settings.queues[0]
    wide = [
        policies.allow(one.on(right, one.settings.accounts[0]))
        for rights in table.RESTORE.values()
        for right in rights
    ]
    return [
        ("home", policies.home_policy(one)),
        ("least", policies.home_policy(few)),
        ("member", policies.member_policy(one, MEMBER)),
        ("organization", policies.member_policy(one, "*")),
        ("trust", policies.trust_policy(one, MEMBER, daemon)),
        ("queue", policies.queue_policy(one, queue, [f"arn:aws:events:eu-west-1:{HOME}:rule/x"])),
        ("topic", policies.topic_policy(SNS["topic_arn"], daemon)),
        ("dlq", policies.redrive_policy([queue.arn], [queue.arn + "-dlq"])),
        ("aspects", policies.document(wide)),
        ("reader", policies.reader_policy(queue)),
        ("accounts", policies.organization_policy()),
    ]


@pytest.mark.parametrize(("name", "document"), every_document(), ids=lambda one: str(one)[:12])
def test_a_linter_finds_nothing(name: str, document: dict[str, Any]) -> None:
    found = parliament.analyze_policy_string(json.dumps(document)).findings
    if name == "trust":
        # It knows no trust policies: what they are about is the role that they are attached to.
        found = [one for one in found if "neither Resource nor" not in str(one.detail)]
    # AWS lists it for every call on a key (KMS developer guide, "kms:KeyOrigin"); the linter does not.
    found = [one for one in found if "Unknown condition kms:KeyOrigin" not in str(one.detail)]
    # Younger than its list: KMS API reference.
    found = [one for one in found if "kms:GetKeyLastUsage" not in str(one.detail)]
    assert [(one.issue, one.detail) for one in found] == []


def test_the_linter_would_find_a_wrong_resource_and_an_unknown_call() -> None:
    wrong = Right("Wrong", ("kms:EnableKeys",), table.On.KEYS)
    one = needs()
    text = json.dumps(policies.document([policies.allow(one.on(wrong, one.settings.accounts[0]))]))
    assert [one.issue for one in parliament.analyze_policy_string(text).findings] == [
        "UNKNOWN_ACTION"
    ]


# -- the command and the files


def run(*words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["generate", "iam", *words])
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize(
    ("kind", "file"), [("policy", "policy"), ("queue", "queue-policy"), ("dlq", "dlq-policy")]
)
def test_the_files_in_deploy_are_up_to_date(kind: str, file: str) -> None:
    """If not: make reference."""
    code, out, err = run("--config", str(ROOT / "deploy/aws/kms-monitor.yaml"), "--kind", kind)
    assert (code, err) == (0, "")
    assert (ROOT / f"deploy/aws/{file}.json").read_text("utf-8") == out


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (("--kind", "trust"), "--account: say which; with a role there are: 444455556666, *"),
        (("--kind", "trust", "--account", "1"), "--account 1: is not guarded"),
        (("--queue", "kms-monitor"), "--queue kms-monitor: is read with the daemon's own rights"),
        (("--kind", "queue", "--queue", "x"), "--queue: say which; there are: kms-monitor"),
        (("--daemon", "arn:aws:iam::1:role/x"), "--daemon: must be the own ARN"),
        (("--config", "nowhere.yaml"), "nowhere.yaml: cannot be read"),
    ],
)
def test_what_is_left_open_is_asked_for(words: tuple[str, ...], fault: str) -> None:
    config = () if "--config" in words else ("--config", str(ROOT / "config/example.yaml"))
    code, out, err = run(*config, *words)
    assert (code, out) == (2, "")
    assert fault in err


def test_the_daemons_own_arn_narrows_its_policy() -> None:
    daemon = "arn:aws:iam::111122223333:role/guard"
    code, out, _ = run("--config", str(ROOT / "config/example.yaml"), "--daemon", daemon)
    assert code == 0
    made = json.loads(out)
    assert statement(made, "DiscoverOurRole")["Resource"] == daemon
    assert "DiscoverOurUser" not in {one["Sid"] for one in made["Statement"]}


def test_whoever_only_names_an_attacker_may_not_lock_him_out() -> None:
    for dry_run in (True, False):
        responders = {"restore_key": {}, "contain": {"dry_run": dry_run}}
        found = policies.home_policy(needs(responders=responders))
        assert ("iam:PutRolePolicy" in actions(found)) is not dry_run
        issues = parliament.analyze_policy_string(json.dumps(found)).findings
        assert [(one.issue, one.detail) for one in issues if one.issue != "UNKNOWN_ACTION"] == []


def test_the_table_is_the_daemons_own_or_another_accounts() -> None:
    at_home = needs(store={"kind": "dynamodb", "table": "guard", "region": "us-east-1"})
    found = statement(policies.home_policy(at_home), "Remember")
    arn = f"arn:aws:dynamodb:us-east-1:{HOME}:table/guard"
    assert found["Resource"] == [arn, f"{arn}/index/changes"]
    kept = json.loads((ROOT / "deploy/aws/table-policy.json").read_text("utf-8"))
    assert found["Action"] == kept["Statement"][0]["Action"]
    role = "arn:aws:iam::999988887777:role/table"
    elsewhere = policies.home_policy(needs(store={"kind": "dynamodb", "role_arn": role}))
    assert "Remember" not in json.dumps(elsewhere)
    assert role in statement(elsewhere, "Enter")["Resource"]
