"""The template for kms-monitor as a function of AWS Lambda, without a daemon anywhere. Pure.

As that of `monitor.stack.home`, but that the rules call the function: there is no queue to be read.
"""

from monitor.event import Wanted
from monitor.rights import policies
from monitor.rights.enabled import Needs
from monitor.stack import alarms, config_rule, function, keeping, queues
from monitor.stack.events import rules, written
from monitor.stack.home import COMMON_CONDITIONS, entering, others, whose
from monitor.stack.rights import Statements, function_model, policy, role_policies
from monitor.stack.words import GUARDED_REGIONS, Value, attribute, joined, ref, text

NOT_OF_A_FUNCTION = frozenset({"Listen", "CountDeadLetters", "CheckRights"})
"""Statements: it reads no queue, and `kms-monitor check` does not run in it."""
CONDITIONAL = {
    "ReadSettings": "HasParameter",
    "Evaluate": "HasConfigRule",
    "ReadVerdicts": "HasConfigRule",
}


def serverless(needs: Needs, wanted: Wanted) -> Value:
    """The whole template. Raises `SettingsError` where the settings cannot be one stack."""
    model = function_model(needs)
    sending = rules(wanted)
    target = function.to_function()
    settings = text(SETTINGS, Regions=joined(", ", GUARDED_REGIONS))
    dead_letters = {"redrivePermission": "denyAll"}
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "kms-monitor as a function of AWS Lambda. Made by `kms-monitor generate stack`, see "
        "docs/serverless-install.md.",
        "Parameters": {
            **whose(needs),
            **function.PARAMETERS,
            **config_rule.PARAMETERS,
            **others(needs),
        },
        "Conditions": {
            **COMMON_CONDITIONS,
            **function.CONDITIONS,
            **config_rule.CONDITIONS,
        },
        "Resources": {
            **function.function(settings),
            "DeadLetters": queues.dead_letters(dead_letters),
            "DeadLettersPolicy": queues.dead_letters_policy(model, sending),
            **{one.logical: written(one, [target]) for one in sending},
            **queues.bus(target),
            **function.permissions(sending),
            **function.sweeping(),
            **config_rule.config_rule(),
            **keeping.topic(),
            **keeping.table(),
            **function.role(
                [
                    policy("Function", function.rights(CONDITIONAL)),
                    *role_policies(model, statements),
                    *entering(needs),
                ]
            ),
            **alarms.function_alarms(),
        },
        "Outputs": {
            "FunctionArn": {"Value": attribute("Function")},
            "DeadLettersUrl": {"Value": ref("DeadLetters")},
            "TopicArn": {"Value": ref("Topic")},
            "BusArn": {"Value": attribute("Bus")},
            "TableName": {"Value": ref("Table")},
            "RoleArn": {"Value": attribute("Role")},
            "Settings": {
                "Description": "The settings of the function (docs/serverless-install.md)",
                "Value": settings,
            },
        },
    }


def statements(needs: Needs) -> Statements:
    return [one for one in policies.home_statements(needs) if one["Sid"] not in NOT_OF_A_FUNCTION]


SETTINGS = """\
mode: ${Mode}
environment: ${Name}
accounts:
  - id: "${AWS::AccountId}"
    regions: [${Regions}]
responders:
  restore_key: {}
  sns: {topic_arn: "${Topic}"}
watched:
  queues: ["${DeadLetters.Arn}"]
  tables: ["${Table.Arn}"]
  deployments: ["${AWS::StackId}"]
store: {kind: dynamodb, table: "${Table}", region: "${AWS::Region}"}
function: {failure_queue: {url: "${DeadLetters}"}}
"""
