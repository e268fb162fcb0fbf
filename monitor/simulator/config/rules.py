"""Custom rules and their verdicts: what PutConfigRule takes, and what PutEvaluations may say.

AWS Config API reference and aws-facts 4.6. Rules of AWS's own and Guard rules are not played here.
"""

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from monitor.simulator.config.words import KEY, Place
from monitor.simulator.words import Refusal

MOST_EVALUATIONS = 100
ON_CHANGE = frozenset(
    {
        "ConfigurationItemChangeNotification",
        "OversizedConfigurationItemChangeNotification",
    }
)
ON_TIME = frozenset({"ScheduledNotification", "ConfigurationSnapshotDeliveryCompleted"})
_VERDICTS = frozenset({"COMPLIANT", "NON_COMPLIANT", "NOT_APPLICABLE"})
_LONGEST = 256


class Result(msgspec.Struct, frozen=True):
    """One verdict about one resource. Times are epoch seconds."""

    resource_type: str
    resource_id: str
    compliance: str
    annotation: str
    ordering: float
    invoked_at: float
    recorded_at: float


class Token(msgspec.Struct, frozen=True):
    """What a result token stands for."""

    place: Place
    rule: str
    invoked_at: float


class Rule(msgspec.Struct):
    """One rule, as PutConfigRule takes it, and what became of it."""

    place: Place
    settings: dict[str, Any]
    results: dict[tuple[str, str], Result] = {}
    """By type and id of the resource."""
    invoked_at: float = 0.0
    ended_at: float = 0.0
    failed_at: float = 0.0
    error: str = ""

    @property
    def name(self) -> str:
        return str(self.settings["ConfigRuleName"])

    @property
    def arn(self) -> str:
        account, region = self.place
        return f"arn:aws:config:{region}:{account}:config-rule/{self.settings['ConfigRuleId']}"

    @property
    def function(self) -> str:
        return str(self.settings["Source"]["SourceIdentifier"])

    @property
    def triggers(self) -> frozenset[str]:
        return frozenset(one["MessageType"] for one in self.settings["Source"]["SourceDetails"])

    @property
    def on_change(self) -> bool:
        return bool(self.triggers & ON_CHANGE) and self._is_about_keys

    @property
    def on_time(self) -> bool:
        return bool(self.triggers & ON_TIME)

    @property
    def _is_about_keys(self) -> bool:
        types = (self.settings.get("Scope") or {}).get("ComplianceResourceTypes") or []
        return not types or KEY in types

    def covers(self, resource_id: str) -> bool:
        """Whether a key is in its scope, which may be one resource."""
        wanted = (self.settings.get("Scope") or {}).get("ComplianceResourceId")
        return not wanted or wanted == resource_id

    def body(self) -> dict[str, Any]:
        return self.settings | {"ConfigRuleArn": self.arn, "ConfigRuleState": "ACTIVE"}

    def event(self, invoking: Mapping[str, Any], token: str, *, left_scope: bool) -> dict[str, Any]:
        """The event of its function: every nested document a JSON text."""
        event = {
            "version": "1.0",
            "invokingEvent": json.dumps(invoking),
            "resultToken": token,
            "eventLeftScope": left_scope,
            "executionRoleArn": f"arn:aws:iam::{self.place[0]}:role/aws-service-role/config",
            "configRuleArn": self.arn,
            "configRuleName": self.name,
            "configRuleId": self.settings["ConfigRuleId"],
            "accountId": self.place[0],
        }
        if parameters := self.settings.get("InputParameters"):
            event["ruleParameters"] = parameters
        return event

    def status(self) -> dict[str, Any]:
        """As DescribeConfigRuleEvaluationStatus shows it."""
        times = {
            "LastSuccessfulInvocationTime": self.invoked_at,
            "LastSuccessfulEvaluationTime": self.ended_at,
            "LastFailedEvaluationTime": self.failed_at,
        }
        shown: dict[str, Any] = {
            "ConfigRuleName": self.name,
            "ConfigRuleArn": self.arn,
            "ConfigRuleId": self.settings["ConfigRuleId"],
            "FirstEvaluationStarted": bool(self.invoked_at),
        }
        if self.error:
            shown |= {"LastErrorCode": "FunctionError", "LastErrorMessage": self.error}
        return shown | {name: at for name, at in times.items() if at}


def checked_rule(given: Mapping[str, Any], *, name: str, rule_id: str) -> dict[str, Any]:
    """The settings of a rule. Raises Refusal."""
    source = given.get("Source") or {}
    if source.get("Owner") != "CUSTOM_LAMBDA":
        raise invalid("The simulator plays rules with the owner CUSTOM_LAMBDA alone.")
    details = source.get("SourceDetails") or []
    if not details or any(one.get("EventSource") != "aws.config" for one in details):
        raise invalid("SourceDetails must name what triggers the rule.")
    unknown = {str(one.get("MessageType")) for one in details} - ON_CHANGE - ON_TIME
    if unknown:
        raise invalid(f"There is no message type {min(unknown)}.")
    parameters = given.get("InputParameters")
    if parameters is not None:
        try:
            found = json.loads(parameters)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise invalid("Blank spaces and other values than JSON are not InputParameters.")
    return {**given, "ConfigRuleName": name, "ConfigRuleId": rule_id}


def checked_results(
    evaluations: list[dict[str, Any]], *, invoked_at: float, now: float
) -> list[Result]:
    """The verdicts of one call. Raises Refusal: AWS takes all of them or none."""
    if len(evaluations) > MOST_EVALUATIONS:
        raise Refusal(
            "ValidationException",
            "1 validation error detected: Value at 'evaluations' failed to satisfy constraint: Member "
            f"must have length less than or equal to {MOST_EVALUATIONS}",
        )
    found = []
    for one in evaluations:
        missing = [name for name in _REQUIRED if one.get(name) in {None, ""}]
        if missing:
            raise Refusal("ValidationException", f"Value null at '{missing[0]}': must not be null")
        annotation = one.get("Annotation")
        if annotation is not None and not 1 <= len(annotation) <= _LONGEST:
            raise Refusal(
                "ValidationException",
                f"Value at 'annotation' must have length between 1 and {_LONGEST}",
            )
        if one["ComplianceType"] not in _VERDICTS:
            raise invalid(f"{one['ComplianceType']} is no verdict that can be put.")
        found.append(
            Result(
                one["ComplianceResourceType"],
                one["ComplianceResourceId"],
                one["ComplianceType"],
                annotation or "",
                float(one["OrderingTimestamp"]),
                invoked_at,
                now,
            )
        )
    return found


_REQUIRED = (
    "ComplianceResourceType",
    "ComplianceResourceId",
    "ComplianceType",
    "OrderingTimestamp",
)


def shown(rule: Rule, result: Result) -> dict[str, Any]:
    """A verdict as GetComplianceDetailsByConfigRule shows it (times: epoch seconds)."""
    body: dict[str, Any] = {
        "EvaluationResultIdentifier": {
            "EvaluationResultQualifier": {
                "ConfigRuleName": rule.name,
                "ResourceType": result.resource_type,
                "ResourceId": result.resource_id,
            },
            "OrderingTimestamp": result.ordering,
        },
        "ComplianceType": result.compliance,
        "ResultRecordedTime": result.recorded_at,
        "ConfigRuleInvokedTime": result.invoked_at,
    }
    return body | ({"Annotation": result.annotation} if result.annotation else {})


def invalid(message: str) -> Refusal:
    return Refusal("InvalidParameterValueException", message)
