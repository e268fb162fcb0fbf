"""The function as a custom rule of AWS Config. Pure.

AWS Config developer guide: "Creating AWS Config custom Lambda rules". A recorder has to be there already, and
to record AWS::KMS::Key: a Region can have but one, which is yours.
"""

from monitor.stack.function import permission
from monitor.stack.words import Value, attribute, choice, equal, ref, resource, text

PARAMETERS = {
    "ConfigRule": choice(
        "Whether AWS Config asks the function about each key, too. Its recorder must be on and record "
        "AWS::KMS::Key.",
        ("yes", "no"),
        "no",
    ),
}
CONDITIONS = {"HasConfigRule": equal(ref("ConfigRule"), "yes")}
MESSAGES = (
    "ConfigurationItemChangeNotification",
    "OversizedConfigurationItemChangeNotification",
)
PERIOD = "TwentyFour_Hours"
"""Between two looks at all keys, beside those at each change."""


def config_rule() -> Value:
    source = {"EventSource": "aws.config"}
    details = [{**source, "MessageType": one} for one in MESSAGES]
    periodic = {"MessageType": "ScheduledNotification", "MaximumExecutionFrequency": PERIOD}
    return {
        "MayConfig": permission(
            "config", SourceAccount=ref("AWS::AccountId"), Condition="HasConfigRule"
        ),
        "ConfigRuleOfKeys": resource(
            "Config::ConfigRule",
            {
                "ConfigRuleName": ref("Name"),
                "Description": text(
                    "Keys are enabled, not about to be deleted, and open to nobody else: judged by ${Name}"
                ),
                "Scope": {"ComplianceResourceTypes": ["AWS::KMS::Key"]},
                "Source": {
                    "Owner": "CUSTOM_LAMBDA",
                    "SourceIdentifier": attribute("Function"),
                    "SourceDetails": [*details, {**source, **periodic}],
                },
            },
            Condition="HasConfigRule",
            # Config tries whether it may call the function while the rule is made.
            DependsOn="MayConfig",
        ),
    }
