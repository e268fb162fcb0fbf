"""The template for every other account and Region whose keys are guarded. Pure.

One for both, so that one StackSet is enough: the roles are made in one Region of each account, for
IAM is global, the rules in every Region. In the daemon's own account it makes no role to enter.
"""

from monitor.event import Wanted
from monitor.rights import policies
from monitor.rights.enabled import Needs
from monitor.stack.events import global_rules, rules, written
from monitor.stack.rights import MEMBER, Model, member_model, name_of, role_policies
from monitor.stack.words import (
    ENFORCES,
    HAS_REGIONS,
    MODE,
    NAME,
    REGIONS,
    Value,
    attribute,
    both,
    choice,
    condition,
    different,
    equal,
    parameter,
    ref,
    resource,
    text,
)

BUS = "arn:${AWS::Partition}:events:${HomeRegion}:${Home}:event-bus/${Name}"


def member(needs: Needs, wanted: Wanted) -> Value:
    """The whole template."""
    model = member_model(needs)
    everywhere = {one.logical: (one, "AllEvents") for one in rules(wanted)}
    only_there = {one.logical: (one, "GlobalEvents") for one in global_rules(wanted)}
    target = {
        "Id": "home",
        "Arn": text(BUS),
        "RoleArn": text("arn:${AWS::Partition}:iam::${AWS::AccountId}:role/${Name}-forward"),
    }
    made = {
        name: written(one, [target], Condition=where)
        for name, (one, where) in (everywhere | only_there).items()
    }
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "kms-monitor: what it needs in another account or Region. Made by "
        "`kms-monitor generate stack --kind member`, see docs/install-aws.md.",
        "Parameters": parameters(needs),
        "Conditions": {
            "Enforces": ENFORCES,
            "HasRegions": HAS_REGIONS,
            "AllEvents": equal(ref("Events"), "all"),
            "GlobalEvents": equal(ref("Events"), "global"),
            "MakesRoles": equal(ref("AWS::Region"), ref("RolesIn")),
            "IsMember": different(ref("AWS::AccountId"), ref("Home")),
            "MakesRole": both(condition("MakesRoles"), condition("IsMember")),
        },
        "Resources": {"Role": role(model), "Forwarder": forwarder(), **made},
        "Outputs": {"RoleArn": {"Value": attribute("Role"), "Condition": "MakesRole"}},
    }


def parameters(needs: Needs) -> Value:
    region = "[a-z]{2}(-[a-z]+)+-[0-9]"
    return {
        "Name": NAME | {"Default": name_of(needs)},
        "Home": parameter("The account that the daemon lives in.", AllowedPattern="[0-9]{12}"),
        "HomeRegion": parameter(
            "The Region that the daemon lives in.",
            AllowedPattern=region,
        ),
        "ExternalId": parameter(
            "What the daemon has to say to be let in; as external_id in its settings.",
            # As STS allows them.
            AllowedPattern="[A-Za-z0-9_+=,.@:/-]{2,1224}",
            NoEcho=True,
        ),
        "Mode": MODE,
        "Regions": REGIONS,
        "RolesIn": parameter(
            "The Region whose stack makes the account's roles: the first to be deployed.",
            AllowedPattern=region,
        ),
        "Events": choice(
            "all: of a Region whose keys are guarded. global: in us-east-1 alone, where no keys are "
            "guarded there: what IAM and Organizations do is told only there.",
            ("all", "global"),
            "all",
        ),
    }


def role(model: Model) -> Value:
    """Which the daemon assumes."""
    guarded = model.needs.account(MEMBER)
    assert guarded is not None
    trust = policies.trust_policy(model.needs, MEMBER, model.needs.daemon)
    return resource(
        "IAM::Role",
        {
            "RoleName": ref("Name"),
            "Description": "Entered by the daemon kms-monitor",
            "AssumeRolePolicyDocument": model.written(trust),
            "Policies": role_policies(
                model, lambda needs: policies.member_statements(needs, guarded)
            ),
        },
        Condition="MakesRole",
    )


def forwarder() -> Value:
    """Which the rules are when they put events on the bus at home."""
    rule = "arn:${AWS::Partition}:events:*:${AWS::AccountId}:rule/${Name}-*"
    trust = {
        "Sid": "Rules",
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": {
            "StringEquals": {"aws:SourceAccount": ref("AWS::AccountId")},
            "ArnLike": {"aws:SourceArn": text(rule)},
        },
    }
    allowed = {
        "Sid": "SendHome",
        "Effect": "Allow",
        "Action": "events:PutEvents",
        "Resource": text(BUS),
    }
    return resource(
        "IAM::Role",
        {
            "RoleName": text("${Name}-forward"),
            "Description": "By which rules send events to the daemon kms-monitor",
            "AssumeRolePolicyDocument": policies.document([trust]),
            "Policies": [
                {"PolicyName": "SendHome", "PolicyDocument": policies.document([allowed])}
            ],
        },
        Condition="MakesRoles",
    )
