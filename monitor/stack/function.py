"""The function itself: its code, its role, who may call it, its log, and how often what failed comes again. Pure.

AWS Lambda developer guide: "Deploy Python Lambda functions with .zip file archives", "Asynchronous invocation",
"Using resource-based policies"; EventBridge user guide, "Using dead-letter queues".
"""

from collections.abc import Iterable, Mapping

from monitor.rights import policies, table
from monitor.rights.enabled import Asked
from monitor.rights.table import On, Right
from monitor.stack.events import BUS_RULE, Rule
from monitor.stack.words import (
    NOTHING,
    Value,
    attribute,
    choice,
    different,
    parameter,
    ref,
    resource,
    text,
    when,
)

HANDLER = "monitor.serverless.handle"
RUNTIMES = ("python3.14", "python3.13", "python3.12", "python3.11")
SECONDS = 120
"""Of one call. A repair takes one to five; a sweep of a thousand keys half a minute."""
TRIES, OLDEST = 2, 21_600
"""After a call that failed, and seconds: the most that Lambda does for asynchronous calls."""
DELIVERIES, PATIENCE = 185, 86_400
"""EventBridge's own tries while Lambda refuses, and seconds: the most that it does."""
LOG = "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:/aws/lambda/${Name}:*"
PARAMETER_ARN = (
    "arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter${SettingsParameter}"
)
CONFIG_RULES = "arn:${AWS::Partition}:config:${AWS::Region}:${AWS::AccountId}:config-rule/*"
RESOURCES: Mapping[On, Value] = {
    On.FUNCTION_LOG: text(LOG),
    On.DEAD_LETTERS: attribute("DeadLetters"),
    On.PARAMETER: text(PARAMETER_ARN),
    On.CONFIG_RULES: text(CONFIG_RULES),
    On.EVERYTHING: "*",
}
"""What the function's own rights are on. AWS's own key for parameters, `aws/ssm`, needs no right."""

PARAMETERS = {
    "CodeBucket": parameter("The bucket in this Region that the zip lies in (make lambda-zip)."),
    "CodeKey": parameter("The zip's key there."),
    "CodeVersion": parameter(
        "Its version, where the bucket keeps versions. Empty: the newest.", ""
    ),
    "Runtime": choice(
        "The Python that the zip was made for: it is in its name.", RUNTIMES, "python3.13"
    ),
    "Architecture": choice(
        "The processor that the zip was made for: it is in its name.", ("arm64", "x86_64"), "arm64"
    ),
    "Memory": parameter(
        "MB. The processor's share grows with it; below 512 a cold start takes seconds.",
        Type="Number",
        Default=1024,
        MinValue=256,
        MaxValue=10240,
    ),
    "Concurrency": parameter(
        "How many calls at once are kept for this function, and are the most of it. Empty: as many as "
        "the account has left; then others of the account can use them up.",
        "",
        AllowedPattern="([1-9][0-9]{0,3})?",
    ),
    "SettingsParameter": parameter(
        "A parameter of Systems Manager that holds the settings, such as /kms-monitor/settings. Empty: "
        "those of the output Settings are in the function's environment.",
        "",
        AllowedPattern="(/[A-Za-z0-9_./-]{1,1000})?",
    ),
    "SweepEvery": choice(
        "How often it looks at all keys without being told of anything. never: what no event told "
        "of stays as it is.",
        ("15 minutes", "1 hour", "6 hours", "never"),
        "1 hour",
    ),
    "LogDays": parameter(
        "Days that its log is kept.",
        Type="Number",
        Default=90,
        AllowedValues=[1, 3, 7, 14, 30, 60, 90, 180, 365, 731, 1827, 3653],
    ),
}
CONDITIONS = {
    "HasVersion": different(ref("CodeVersion"), ""),
    "HasConcurrency": different(ref("Concurrency"), ""),
    "HasParameter": different(ref("SettingsParameter"), ""),
    "HasSweep": different(ref("SweepEvery"), "never"),
}
SWEEP = Rule("sweep", {}, "ENABLED", "Has kms-monitor look at all keys")


def function(settings: Value) -> Value:
    """`settings`: as text, for its environment where no parameter of Systems Manager holds them."""
    return {
        "Function": resource(
            "Lambda::Function",
            {
                "FunctionName": ref("Name"),
                "Description": "kms-monitor: puts KMS keys back that somebody takes away",
                "Runtime": ref("Runtime"),
                "Architectures": [ref("Architecture")],
                "Handler": HANDLER,
                "Code": {
                    "S3Bucket": ref("CodeBucket"),
                    "S3Key": ref("CodeKey"),
                    "S3ObjectVersion": when("HasVersion", ref("CodeVersion")),
                },
                "Role": attribute("Role"),
                "MemorySize": ref("Memory"),
                "Timeout": SECONDS,
                "ReservedConcurrentExecutions": when("HasConcurrency", ref("Concurrency")),
                "DeadLetterConfig": {"TargetArn": attribute("DeadLetters")},
                "LoggingConfig": {"LogGroup": ref("Log")},
                "Environment": {
                    "Variables": {
                        "KMS_MONITOR_SETTINGS": when("HasParameter", NOTHING, settings),
                        "KMS_MONITOR_CONFIG": when(
                            "HasParameter", text("ssm:${SettingsParameter}")
                        ),
                    }
                },
            },
        ),
        "Tries": resource(
            "Lambda::EventInvokeConfig",
            {
                "FunctionName": ref("Function"),
                "Qualifier": "$LATEST",
                "MaximumRetryAttempts": TRIES,
                "MaximumEventAgeInSeconds": OLDEST,
            },
        ),
        "Log": resource(
            "Logs::LogGroup",
            {"LogGroupName": text("/aws/lambda/${Name}"), "RetentionInDays": ref("LogDays")},
            DeletionPolicy="Retain",
            UpdateReplacePolicy="Retain",
        ),
    }


def to_function() -> Value:
    """The target of a rule. What cannot be handed over lies in the queue for dead letters."""
    return {
        "Id": "function",
        "Arn": attribute("Function"),
        "DeadLetterConfig": {"Arn": attribute("DeadLetters")},
        "RetryPolicy": {
            "MaximumRetryAttempts": DELIVERIES,
            "MaximumEventAgeInSeconds": PATIENCE,
        },
    }


def permissions(sending: Iterable[Rule]) -> Value:
    """Each rule by its own ARN: a wildcard would let in whoever can make a rule of that name."""
    return {
        f"May{one.logical}": permission("events", SourceArn=attribute(one.logical))
        for one in (*sending, BUS_RULE)
    }


def permission(service: str, **source: Value) -> Value:
    condition = {"Condition": source.pop("Condition")} if "Condition" in source else {}
    return resource(
        "Lambda::Permission",
        {
            "FunctionName": ref("Function"),
            "Action": "lambda:InvokeFunction",
            "Principal": f"{service}.amazonaws.com",
            **source,
        },
        **condition,
    )


def sweeping() -> Value:
    """A rule with a schedule, by which the function is told to look at all keys."""
    target = to_function() | {"Input": '{"kms-monitor": "sweep"}'}
    return {
        SWEEP.logical: resource(
            "Events::Rule",
            {
                "Name": text(f"${{Name}}-{SWEEP.word}"),
                "Description": SWEEP.description,
                "State": "ENABLED",
                "ScheduleExpression": text("rate(${SweepEvery})"),
                "Targets": [target],
            },
            Condition="HasSweep",
        ),
        f"May{SWEEP.logical}": permission(
            "events", SourceArn=attribute(SWEEP.logical), Condition="HasSweep"
        ),
    }


def role(made: list[Value]) -> Value:
    statement = {
        "Sid": "Function",
        "Effect": "Allow",
        "Principal": {"Service": "lambda.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    return {
        "Role": resource(
            "IAM::Role",
            {
                "RoleName": ref("Name"),
                "Description": "The function kms-monitor",
                "AssumeRolePolicyDocument": policies.document([statement]),
                "Policies": made,
            },
        )
    }


def rights(conditions: Mapping[str, str]) -> list[Value]:
    """What the function needs as such. `conditions`: by the statement's name, where it hangs on one."""
    return [
        when(conditions[one.sid], on(one)) if one.sid in conditions else on(one)
        for one in (*table.FUNCTION, *table.CONFIG_RULE)
    ]


def on(right: Right) -> Value:
    made = policies.allow(Asked(right, ("",), {}))
    return made | {"Resource": RESOURCES[right.on]}
