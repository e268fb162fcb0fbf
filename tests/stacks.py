"""A small CloudFormation: it reads a template's parameters, conditions and functions, and makes what it can.

moto's own knows neither queue policies nor our EventBridge (aws-facts 9.1). Whatever a template uses that
is not known here is an error, and so is a reference to something that its condition leaves out.
"""

import json
import re
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any

import yaml

AWS = Path(__file__).parents[1] / "deploy" / "aws"
NOTHING = object()
VARIABLE = re.compile(r"\$\{(!?)([^}]*)\}")

Client = Callable[[str], Any]
"""An AWS client of a service, in the stack's account and Region."""
Deploy = Callable[[dict[str, Any], set[tuple[str, str]]], None]
"""Makes a function with these properties, which these may call: a service, and the ARN of what it does so for."""
FUNCTION_KINDS = (
    "Lambda::Function",
    "Lambda::Permission",
    "Lambda::EventInvokeConfig",
    "Logs::LogGroup",
)


@cache
def template(kind: str) -> dict[str, Any]:
    text = (AWS / f"{kind}.yaml").read_text("utf-8")
    found: dict[str, Any] = yaml.load(text, yaml.CSafeLoader)
    return found


class Stack:
    """A template with its parameters, in one account and Region."""

    def __init__(self, source: dict[str, Any], account: str, region: str, **given: str) -> None:
        self.source = source
        self.account = account
        self.region = region
        unknown = given.keys() - source["Parameters"].keys()
        assert not unknown, f"no such parameters: {unknown}"
        self.parameters = {
            name: self.parameter(name, declared, given)
            for name, declared in source["Parameters"].items()
        }
        self.made: dict[str, str] = {}
        """The physical ids of what AWS chooses the name of."""

    def parameter(self, name: str, declared: dict[str, Any], given: dict[str, str]) -> Any:
        value = given[name] if name in given else declared["Default"]
        if allowed := declared.get("AllowedValues"):
            assert str(value) in map(str, allowed), f"{name}: {value}"
        if pattern := declared.get("AllowedPattern"):
            assert re.fullmatch(pattern, value), f"{name}: {value}"
        if declared["Type"] == "Number":
            return int(value)
        return value.split(",") if declared["Type"] == "CommaDelimitedList" else value

    # -- the language

    def holds(self, name: str) -> bool:
        return bool(self.decide(self.source["Conditions"][name]))

    def decide(self, what: Any) -> bool:
        ((function, given),) = what.items()
        match function:
            case "Condition":
                return self.holds(given)
            case "Fn::Equals":
                return bool(self.value(given[0]) == self.value(given[1]))
            case "Fn::Not":
                return not self.decide(given[0])
            case "Fn::And":
                return all(self.decide(one) for one in given)
            case "Fn::Or":
                return any(self.decide(one) for one in given)
        raise AssertionError(f"unknown in a condition: {function}")

    def value(self, what: Any) -> Any:
        if isinstance(what, list):
            return [one for each in what if (one := self.value(each)) is not NOTHING]
        if not isinstance(what, dict):
            return what
        if len(what) == 1:
            ((name, given),) = what.items()
            if name == "Ref":
                return self.ref(given)
            if name.startswith("Fn::"):
                return self.function(name, given)
        return {key: one for key, each in what.items() if (one := self.value(each)) is not NOTHING}

    def function(self, name: str, given: Any) -> Any:
        match name:
            case "Fn::If":
                return self.value(given[1] if self.holds(given[0]) else given[2])
            case "Fn::Join":
                assert isinstance(given[0], str)
                return given[0].join(self.value(given[1]))
            case "Fn::GetAtt":
                return self.attribute(*given)
            case "Fn::Sub":
                text, more = given if isinstance(given, list) else (given, {})
                values = {one: self.value(each) for one, each in more.items()}
                return VARIABLE.sub(lambda found: self.variable(found, values), text)
        raise AssertionError(f"unknown function: {name}")

    def variable(self, found: re.Match[str], values: dict[str, Any]) -> str:
        literal, name = found.groups()
        if literal:
            return f"${{{name}}}"
        if name in values:
            return str(values[name])
        value = self.attribute(*name.split(".")) if "." in name else self.ref(name)
        assert isinstance(value, str), f"{name} is no text"
        return value

    def ref(self, name: str) -> Any:
        pseudo = {
            "AWS::NoValue": NOTHING,
            "AWS::AccountId": self.account,
            "AWS::Region": self.region,
            "AWS::Partition": "aws",
            "AWS::StackId": self.arn("cloudformation", "stack/guard/1"),
            "AWS::URLSuffix": "amazonaws.com",
        }
        if name in pseudo:
            return pseudo[name]
        if name in self.parameters:
            return self.parameters[name]
        match self.kind(name):
            case "AWS::SQS::Queue":
                url = f"https://sqs.{self.region}.amazonaws.com/{self.account}/"
                return self.made.get(name, url + self.property(name, "QueueName"))
            case "AWS::SNS::Topic":
                return self.arn("sns", self.property(name, "TopicName"))
            case "AWS::Events::EventBus":
                return self.property(name, "Name")
            case "AWS::DynamoDB::Table":
                return self.property(name, "TableName")
            case "AWS::IAM::Role":
                return self.property(name, "RoleName")
            case "AWS::KMS::Key":
                return self.made.get(name, "1234abcd-12ab-34cd-56ef-1234567890ab")
            case "AWS::Lambda::Function":
                return self.property(name, "FunctionName")
            case "AWS::Logs::LogGroup":
                return self.property(name, "LogGroupName")
        raise AssertionError(f"unknown: Ref of {name}")

    def attribute(self, name: str, which: str) -> str:
        kind = self.kind(name)
        match kind, which:
            case "AWS::SQS::Queue", "Arn":
                return self.arn("sqs", self.property(name, "QueueName"))
            case "AWS::SQS::Queue", "QueueName":
                return str(self.property(name, "QueueName"))
            case "AWS::Events::EventBus", "Arn":
                return self.arn("events", "event-bus/" + self.property(name, "Name"))
            case "AWS::Events::Rule", "Arn":
                properties = self.properties(name)
                path = [properties.get("EventBusName"), properties["Name"]]
                return self.arn("events", "rule/" + "/".join(one for one in path if one))
            case "AWS::DynamoDB::Table", "Arn":
                return self.arn("dynamodb", "table/" + self.property(name, "TableName"))
            case "AWS::IAM::Role", "Arn":
                return f"arn:aws:iam::{self.account}:role/{self.property(name, 'RoleName')}"
            case "AWS::Lambda::Function", "Arn":
                return self.arn("lambda", "function:" + self.property(name, "FunctionName"))
            case "AWS::KMS::Key", "Arn":
                return self.arn("kms", "key/" + self.ref(name))
        raise AssertionError(f"unknown: {which} of {name}")

    def arn(self, service: str, rest: str) -> str:
        return f"arn:aws:{service}:{self.region}:{self.account}:{rest}"

    # -- what is in it

    def kind(self, name: str) -> str:
        one = self.source["Resources"][name]
        there = "Condition" not in one or self.holds(one["Condition"])
        assert there, f"{name} is referred to, and left out by {one['Condition']}"
        return str(one["Type"])

    def properties(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.value(self.source["Resources"][name]["Properties"])
        return found

    def property(self, name: str, which: str) -> Any:
        return self.value(self.source["Resources"][name]["Properties"][which])

    def resources(self, kind: str) -> dict[str, dict[str, Any]]:
        """The resources of a kind, such as `SQS::Queue`, by their names in the template."""
        return {
            name: self.properties(name)
            for name, one in self.source["Resources"].items()
            if one["Type"] == f"AWS::{kind}"
            and ("Condition" not in one or self.holds(one["Condition"]))
        }

    def outputs(self) -> dict[str, str]:
        return {
            name: self.value(one["Value"])
            for name, one in self.source["Outputs"].items()
            if "Condition" not in one or self.holds(one["Condition"])
        }

    # -- making it

    async def deploy(self, client: Client, functions: "Deploy | None" = None) -> set[str]:
        """Make all that the simulator knows; the kinds that it does not know are the answer.

        `functions`: makes a function, for the simulator has no API for that.
        """
        if functions is not None:
            for name in self.resources("Lambda::Function"):
                functions(self.properties(name), self.callers())
        makers: dict[str, Callable[[Any, str, dict[str, Any]], Awaitable[Any]]] = {
            "KMS::Key": self.make_key,
            "KMS::Alias": make_alias,
            "SQS::Queue": self.make_queue,
            "SNS::Topic": make_topic,
            "DynamoDB::Table": make_table,
            "IAM::Role": make_role,
            "Events::EventBus": make_bus,
            "Events::Rule": make_rule,
            "SQS::QueuePolicy": make_queue_policy,
            "Config::ConfigRule": make_config_rule,
            "SNS::TopicPolicy": make_topic_policy,
        }
        for kind, make in makers.items():
            for name in self.resources(kind):
                service = kind.partition("::")[0].lower()
                # Its properties anew: others may have got their names meanwhile.
                await make(client(service), name, self.properties(name))
        if functions is not None:
            makers |= dict.fromkeys(FUNCTION_KINDS, make_nothing)
        every = {
            str(one["Type"]).removeprefix("AWS::") for one in self.source["Resources"].values()
        }
        return {kind for kind in every - makers.keys() if self.resources(kind)}

    def callers(self) -> set[tuple[str, str]]:
        """Who may call the function, and for what. Config names no rule, for it asks while one is made."""
        return {
            (one["Principal"], one.get("SourceArn", "config-rules"))
            for one in self.resources("Lambda::Permission").values()
        }

    def scheduled(self) -> dict[str, Any]:
        """What each rule with a schedule hands over; the simulator's clock rings for nobody."""
        return {
            one["Name"]: json.loads(one["Targets"][0]["Input"])
            for one in self.resources("Events::Rule").values()
            if "ScheduleExpression" in one
        }

    async def make_key(self, kms: Any, name: str, given: dict[str, Any]) -> None:
        policy, tags = json.dumps(given["KeyPolicy"]), given["Tags"]
        made = await kms.create_key(
            Description=given["Description"],
            Policy=policy,
            Tags=[{"TagKey": one["Key"], "TagValue": one["Value"]} for one in tags],
        )
        self.made[name] = made["KeyMetadata"]["KeyId"]

    async def make_queue(self, sqs: Any, name: str, given: dict[str, Any]) -> None:
        attributes = {key: as_text(one) for key, one in given.items() if key != "QueueName"}
        made = await sqs.create_queue(QueueName=given["QueueName"], Attributes=attributes)
        self.made[name] = made["QueueUrl"]


def as_text(value: Any) -> str:
    if isinstance(value, dict):
        return json.dumps(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


async def make_alias(kms: Any, _: str, given: dict[str, Any]) -> None:
    await kms.create_alias(**given)


async def make_topic(sns: Any, _: str, given: dict[str, Any]) -> None:
    await sns.create_topic(Name=given["TopicName"])


async def make_table(dynamodb: Any, _: str, given: dict[str, Any]) -> None:
    given = dict(given)
    ttl = given.pop("TimeToLiveSpecification")
    recovery = given.pop("PointInTimeRecoverySpecification")
    given["SSESpecification"] = {"Enabled": given["SSESpecification"]["SSEEnabled"]}
    await dynamodb.create_table(**given)
    name = given["TableName"]
    await dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=ttl)
    await dynamodb.update_continuous_backups(
        TableName=name, PointInTimeRecoverySpecification=recovery
    )


async def make_role(iam: Any, _: str, given: dict[str, Any]) -> None:
    trust = given["AssumeRolePolicyDocument"]
    await iam.create_role(
        RoleName=given["RoleName"],
        AssumeRolePolicyDocument=trust if isinstance(trust, str) else json.dumps(trust),
    )
    for one in given["Policies"]:
        await iam.put_role_policy(
            RoleName=given["RoleName"],
            PolicyName=one["PolicyName"],
            PolicyDocument=json.dumps(one["PolicyDocument"]),
        )


async def make_bus(events: Any, _: str, given: dict[str, Any]) -> None:
    await events.create_event_bus(**given)


async def make_nothing(client: Any, name: str, given: dict[str, Any]) -> None:
    """Of what belongs to a function, and is made with it."""
    del client, name, given


async def make_rule(events: Any, _: str, given: dict[str, Any]) -> None:
    if "ScheduleExpression" in given:
        return  # see `Stack.scheduled`
    bus = {"EventBusName": given["EventBusName"]} if "EventBusName" in given else {}
    pattern = json.dumps(given["EventPattern"], separators=(",", ":"))
    await events.put_rule(
        Name=given["Name"],
        Description=given["Description"],
        State=given["State"],
        EventPattern=pattern,
        **bus,
    )
    await events.put_targets(Rule=given["Name"], Targets=given["Targets"], **bus)


async def make_config_rule(config: Any, _: str, given: dict[str, Any]) -> None:
    await config.put_config_rule(ConfigRule=given)


async def make_queue_policy(sqs: Any, _: str, given: dict[str, Any]) -> None:
    policy = {"Policy": json.dumps(given["PolicyDocument"])}
    for url in given["Queues"]:
        await sqs.set_queue_attributes(QueueUrl=url, Attributes=policy)


async def make_topic_policy(sns: Any, _: str, given: dict[str, Any]) -> None:
    for arn in given["Topics"]:
        await sns.set_topic_attributes(
            TopicArn=arn,
            AttributeName="Policy",
            AttributeValue=json.dumps(given["PolicyDocument"]),
        )
