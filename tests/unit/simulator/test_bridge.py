"""EventBridge's calls and what targets receive, asked without a wire."""

from typing import Any

import pytest

from monitor.simulator.events import EventBridge
from monitor.simulator.inputs import body_for
from monitor.simulator.wire import Parameters
from monitor.simulator.words import Caller, Refusal

ACCOUNT = "111122223333"
ADMIN = Caller(account=ACCOUNT, arn=f"arn:aws:iam::{ACCOUNT}:user/admin", user="admin")
PLACE = (ACCOUNT, "eu-west-1", "default")
QUEUE = f"arn:aws:sqs:eu-west-1:{ACCOUNT}:q"
EVENT = {"source": "my.app", "detail": {"name": "x", "list": [{"n": 1}]}, "account": ACCOUNT}


@pytest.fixture
def bridge() -> EventBridge:
    made = EventBridge(now=lambda: 1000.0)
    ask(made, "PutRule", Name="rule", EventPattern='{"source": ["my.app"]}', Description="d")
    return made


def ask(bridge: EventBridge, operation: str, /, **parameters: Any) -> dict[str, Any]:
    asked = Parameters(parameters)
    return bridge.call(operation, asked, caller=ADMIN, account=ACCOUNT, region="eu-west-1").body


def reached(bridge: EventBridge, event: dict[str, Any] = EVENT) -> list[str]:
    return [handover.target["Id"] for handover in bridge.handovers(PLACE, event)]


def test_rules_and_targets(bridge: EventBridge) -> None:
    ask(bridge, "PutTargets", Rule="rule", Targets=[{"Id": "a", "Arn": QUEUE}])
    assert reached(bridge) == ["a"]
    assert reached(bridge, EVENT | {"source": "other"}) == []
    assert ask(bridge, "ListRuleNamesByTarget", TargetArn=QUEUE) == {"RuleNames": ["rule"]}
    assert ask(bridge, "ListRules", NamePrefix="x") == {"Rules": []}
    (shown,) = ask(bridge, "ListRules", NamePrefix="ru")["Rules"]
    assert (shown["State"], shown["Description"]) == ("ENABLED", "d")
    # Writing a rule anew keeps its targets, and so may silence them.
    ask(bridge, "PutRule", Name="rule", EventPattern='{"source": ["my.app"]}', State="DISABLED")
    assert reached(bridge) == []
    ask(bridge, "EnableRule", Name="rule")
    assert reached(bridge) == ["a"]


def test_buses(bridge: EventBridge) -> None:
    ask(bridge, "CreateEventBus", Name="second")
    names = [bus["Name"] for bus in ask(bridge, "ListEventBuses")["EventBuses"]]
    assert names == ["default", "second"]
    rule = {"Name": "r", "EventPattern": '{"source": ["my.app"]}', "EventBusName": "second"}
    assert ask(bridge, "PutRule", **rule)["RuleArn"].endswith(":rule/second/r")
    ask(bridge, "DeleteEventBus", Name="second")
    with pytest.raises(Refusal, match="Event bus second does not exist"):
        ask(bridge, "PutRule", **rule)
    assert list(bridge.handovers((ACCOUNT, "eu-west-1", "second"), EVENT)) == []


@pytest.mark.parametrize(
    ("operation", "parameters", "code"),
    [
        ("CreateEventBus", {"Name": "default"}, "ResourceAlreadyExistsException"),
        ("DeleteEventBus", {"Name": "default"}, "ValidationException"),
        ("PutRule", {"Name": "not a name"}, "ValidationException"),
        ("PutRule", {"Name": "r"}, "ValidationException"),
        ("PutRule", {"Name": "r", "EventPattern": '{"a": ["b"]}', "State": "ON"}, "Validation"),
        ("PutTargets", {"Rule": "rule", "Targets": [{"Id": "a", "Arn": "q"}]}, "Validation"),
        (
            "PutTargets",
            {"Rule": "rule", "Targets": [{"Id": "a", "Arn": QUEUE, "InputTransformer": {}}]},
            "ValidationException",
        ),
        (
            "PutTargets",
            {"Rule": "rule", "Targets": [{"Id": str(n), "Arn": QUEUE} for n in range(6)]},
            "LimitExceededException",
        ),
        ("PutTargets", {"Rule": "none", "Targets": []}, "ResourceNotFoundException"),
        ("PutTargets", {"Rule": "rule"}, "ValidationException"),
        ("TestEventPattern", {"Event": "{", "EventPattern": "{}"}, "ValidationException"),
        ("TestEventPattern", {"Event": "{}", "EventPattern": "{}"}, "ValidationException"),
        ("PutEvents", {"Entries": []}, "ValidationException"),
    ],
)
def test_refusals(
    bridge: EventBridge, operation: str, parameters: dict[str, Any], code: str
) -> None:
    with pytest.raises(Refusal, match=code):
        ask(bridge, operation, **parameters)


@pytest.mark.parametrize(
    ("target", "body"),
    [
        (
            {},
            f'{{"source":"my.app","detail":{{"name":"x","list":[{{"n":1}}]}},"account":"{ACCOUNT}"}}',
        ),
        ({"Input": '"constant"'}, '"constant"'),
        ({"InputPath": "$.detail.list[0].n"}, "1"),
        ({"InputPath": "$.detail['name']"}, '"x"'),
        ({"InputPath": "$.nothing"}, "null"),
        (
            {
                "InputTransformer": {
                    "InputPathsMap": {"d": "$.detail.list", "n": "$.detail.name"},
                    "InputTemplate": '{"d": <d>, "n": <n>, "t": "is <n> <d>", "r": <aws.events.rule-name>}',
                }
            },
            '{"d": [{"n":1}], "n": "x", "t": "is x [{"n":1}]", "r": "rule"}',
        ),
    ],
)
def test_what_a_target_receives(target: dict[str, Any], body: str) -> None:
    assert body_for(target, EVENT, rule_name="rule", rule_arn="arn", now=0.0) == body
