"""The same rules and rights as data of the Terraform modules (deploy/terraform). Pure.

`rules.json` is read as it is. `rights.json.tftpl` is a template of Terraform: `${account}` and its like are
filled in by the module. Statements that hang on a condition are in a list of its name.
"""

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from monitor.event import Wanted
from monitor.rights import policies
from monitor.rights.enabled import Needs
from monitor.stack import function
from monitor.stack.events import BUS_RULE, Rule, global_rules, rules
from monitor.stack.rights import (
    MEMBER,
    asking,
    function_model,
    home_model,
    member_model,
    role_policies,
)
from monitor.stack.serverless import CONDITIONAL, statements
from monitor.stack.words import GUARDED_REGIONS, NOTHING, Value

RULES, RIGHTS = "rules.json", "rights.json.tftpl"
REGIONS = "@regions@"
"""Stands for the list of Regions until the text is made."""
WORDS = {
    "AWS::Partition": "partition",
    "AWS::AccountId": "account",
    "AWS::Region": "region",
    "Name": "name",
    "Home": "home",
    "Queue": "queue",
    "DeadLetters": "dead_letters",
    "Topic": "topic",
    "Table": "table",
    "Table.Arn": "table",
    "CanaryKey": "canary",
    "ExternalId": "external_id",
    "SettingsParameter": "parameter",
}
"""What parameters and resources of the template are in the modules."""
ALWAYS = "always"
CONDITIONS = {"UsesTable": "table", "HasCanary": "canary"}
"""Of the modules `home` and `member`."""
OF_FUNCTION = {"HasParameter": "parameter", "HasConfigRule": "config_rule"}

Statements = list[dict[str, Any]]


def home_files(needs: Needs, wanted: Wanted) -> dict[str, str]:
    """The files of the module `home`, by name."""
    look, repair = both(role_policies(home_model(needs), policies.home_statements))
    rights = {"look": look, "repair": repair, "ask": asking(needs)}
    return files(rights, {"rules": rules(wanted), "forwarded": [BUS_RULE]})


def member_files(needs: Needs, wanted: Wanted) -> dict[str, str]:
    """The files of the module `member`, by name."""
    model = member_model(needs)
    guarded = model.needs.account(MEMBER)
    assert guarded is not None
    made = role_policies(model, lambda some: policies.member_statements(some, guarded))
    look, repair = both(made)
    trust = policies.trust_policy(model.needs, MEMBER, model.needs.daemon)
    rights = {"look": look, "repair": repair, "trust": plain(model.written(trust))}
    return files(rights, {"rules": rules(wanted), "global": global_rules(wanted)})


def serverless_files(needs: Needs, wanted: Wanted) -> dict[str, str]:
    """The files of the module `serverless`, by name."""
    look, repair = both(role_policies(function_model(needs), statements))
    rights = {
        "look": look[ALWAYS],
        "repair": repair[ALWAYS],
        "function": grouped(function.rights(CONDITIONAL), OF_FUNCTION),
        "ask": asking(needs),
    }
    return files(rights, {"rules": rules(wanted), "forwarded": [BUS_RULE]})


def both(made: list[Value]) -> tuple[Value, Value]:
    """`Look` and `Repair` of a role, each by condition."""
    look, *rest = made
    found = [look, *(one["Fn::If"][1] for one in rest)]
    by_name = {one["PolicyName"]: one["PolicyDocument"]["Statement"] for one in found}
    return grouped(by_name["Look"]), grouped(by_name.get("Repair", []))


def grouped(
    statements: list[Value], conditions: Mapping[str, str] = CONDITIONS
) -> dict[str, Statements]:
    found: defaultdict[str, Statements] = defaultdict(list)
    for one in statements:
        condition, statement = ALWAYS, one
        if "Fn::If" in one:
            name, statement, _ = one["Fn::If"]
            condition = conditions[name]
        found[condition].append(plain(statement))
    return {name: found[name] for name in (ALWAYS, *conditions.values())}


def plain(value: Value) -> Any:
    """The template's words as those of the modules."""
    if value == GUARDED_REGIONS:
        return REGIONS
    if isinstance(value, list):
        return [plain(one) for one in value]
    if not isinstance(value, dict):
        return value
    match value:
        case {"Ref": name}:
            return f"${{{WORDS[name]}}}"
        case {"Fn::GetAtt": [name, "Arn"]}:
            return f"${{{WORDS[name]}}}"
        case {"Fn::Sub": str(text)}:
            return re.sub(r"\$\{([^}]*)\}", lambda found: f"${{{WORDS[found[1]]}}}", text)
        case {"Fn::If": [name, then, otherwise]} if otherwise == NOTHING and name in CONDITIONS:
            return plain(then)
    return {name: plain(one) for name, one in value.items()}


def files(rights: dict[str, Any], rules: dict[str, list[Rule]]) -> dict[str, str]:
    found = {
        kind: {one.word: {"state": one.state, "pattern": one.pattern} for one in some}
        for kind, some in rules.items()
    }
    text = json.dumps(rights, indent=2).replace(f'"{REGIONS}"', "${regions}")
    return {RULES: json.dumps(found, indent=2) + "\n", RIGHTS: text + "\n"}
