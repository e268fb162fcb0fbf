"""The template for the account and Region that the daemon lives in. Pure.

Everything in it is encrypted by AWS's own keys: whoever takes keys away must not blind us by that
(aws-facts 5.4).
"""

from monitor.event import Wanted
from monitor.rights import policies
from monitor.rights.enabled import Needs
from monitor.stack import alarms, keeping, queues, trust
from monitor.stack.events import rules, written
from monitor.stack.rights import asking, home_model, name_of, policy, role_policies
from monitor.stack.words import (
    ENFORCES,
    GUARDED_REGIONS,
    HAS_REGIONS,
    MODE,
    NAME,
    REGIONS,
    Value,
    attribute,
    choice,
    condition,
    different,
    either,
    equal,
    joined,
    parameter,
    ref,
    text,
    when,
)

ACCOUNT, OWNER = "aws:ResourceAccount", "aws:ResourceOrgID"
"""Condition keys: whose role it is that is entered (IAM user guide, "AWS global condition context keys")."""


def home(needs: Needs, wanted: Wanted) -> Value:
    """The whole template. Raises `SettingsError` where the settings cannot be one stack."""
    model = home_model(needs)
    sending = rules(wanted)
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "kms-monitor: what the daemon needs in its own account and Region. Made by "
        "`kms-monitor generate stack`, see docs/install-aws.md.",
        "Parameters": parameters(needs),
        "Conditions": conditions(),
        "Resources": {
            **queues.queues(model, sending),
            **{one.logical: written(one, [queues.to_queue()]) for one in sending},
            **queues.bus(queues.to_queue()),
            **keeping.topic(),
            **keeping.table(Condition="UsesTable"),
            **keeping.canary(),
            **trust.role(
                [*role_policies(model, policies.home_statements), *entering(needs)],
            ),
            **alarms.alarms(),
        },
        "Outputs": outputs(),
    }


def parameters(needs: Needs) -> Value:
    return {
        **whose(needs),
        "Store": choice(
            "dynamodb: a table, for several replicas. sqlite: a file, nothing is made for it.",
            ("dynamodb", "sqlite"),
            "dynamodb",
        ),
        "Canary": choice(
            "Whether to make a key that nothing uses, by which the daemon proves that events arrive.",
            ("yes", "no"),
            "yes",
        ),
        **others(needs),
        **trust.PARAMETERS,
    }


def whose(needs: Needs) -> Value:
    """Parameters: what all is called, what it may do, and in which Regions."""
    regions = next((one.regions for one in needs.settings.accounts if not one.role_arn), [])
    elsewhere = regions if regions != [needs.settings.home_region] else []
    return {
        "Name": NAME | {"Default": name_of(needs)},
        "Mode": MODE,
        "Regions": REGIONS | {"Default": ",".join(elsewhere)},
    }


def others(needs: Needs) -> Value:
    """Parameters: who is told, and whose events come here."""
    members = [one.id for one in needs.settings.accounts if one.role_arn]
    return {
        "Email": parameter("Who is told by mail; has to be confirmed. Empty: nobody.", ""),
        "Members": parameter(
            "The ids of other accounts whose keys are guarded, with commas between.",
            ",".join(members),
            Type="CommaDelimitedList",
        ),
        "Organization": parameter(
            "The organization, such as o-exampleorgid, whose accounts may send events here and be "
            "entered. Empty: only Members.",
            next((one.path.split("/")[0] for one in needs.settings.organizations), ""),
            AllowedPattern="(o-[a-z0-9]{10,32})?",
        ),
    }


def conditions() -> Value:
    return {
        **COMMON_CONDITIONS,
        "UsesTable": equal(ref("Store"), "dynamodb"),
        "HasCanary": equal(ref("Canary"), "yes"),
        **trust.CONDITIONS,
    }


COMMON_CONDITIONS = {
    "Enforces": ENFORCES,
    "HasRegions": HAS_REGIONS,
    "HasMail": different(ref("Email"), ""),
    "HasMembers": different(joined("", ref("Members")), ""),
    "HasOrganization": different(ref("Organization"), ""),
    "HasOthers": either(condition("HasMembers"), condition("HasOrganization")),
}


def entering(needs: Needs) -> list[Value]:
    """The right to enter other accounts, if there are any, and to ask for those of an organization."""
    statement = {
        "Effect": "Allow",
        "Action": ["sts:AssumeRole", "sts:TagSession"],
        "Resource": text("arn:${AWS::Partition}:iam::*:role/${Name}"),
    }

    def where(key: str, value: Value) -> Value:
        return {"Condition": {"StringEquals": {key: value}}}

    statements = [
        when("HasMembers", {"Sid": "Members", **statement, **where(ACCOUNT, ref("Members"))}),
        when(
            "HasOrganization",
            {"Sid": "Organization", **statement, **where(OWNER, ref("Organization"))},
        ),
    ]
    found = [when("HasOthers", policy("Enter", statements))]
    if asked := asking(needs):
        found.append(policy("Ask", list(asked)))
    return found


def outputs() -> Value:
    regions = {"Regions": joined(", ", GUARDED_REGIONS)}
    return {
        "QueueUrl": {"Value": ref("Queue")},
        "DeadLettersUrl": {"Value": ref("DeadLetters")},
        "TopicArn": {"Value": ref("Topic")},
        "BusArn": {"Value": attribute("Bus")},
        "TableName": {"Value": ref("Table"), "Condition": "UsesTable"},
        "CanaryArn": {"Value": attribute("CanaryKey"), "Condition": "HasCanary"},
        "RoleArn": {"Value": attribute("Role")},
        "Settings": {
            "Description": "The settings of the daemon (docs/install-aws.md)",
            "Value": text(SETTINGS, **regions, **SOME_SETTINGS),
        },
    }


SETTINGS = """\
mode: ${Mode}
environment: ${Name}
accounts:
  - id: "${AWS::AccountId}"
    regions: [${Regions}]
queues:
  - url: ${Queue}
    region: ${AWS::Region}
responders:
  restore_key: {}
  sns: {topic_arn: "${Topic}"}
watched:
  queues: ["${DeadLetters.Arn}"]
  tables: [${TableArn}]
  deployments: ["${AWS::StackId}"]
${StoreLine}${CanaryLine}"""
SOME_SETTINGS = {
    "TableArn": when("UsesTable", text('"${Table.Arn}"'), ""),
    "StoreLine": when(
        "UsesTable",
        text('store: {kind: dynamodb, table: "${Table}", region: "${AWS::Region}"}\n'),
        "",
    ),
    "CanaryLine": when("HasCanary", text('canary: {keys: ["${CanaryKey.Arn}"]}\n'), ""),
}
