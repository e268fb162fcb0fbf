"""AWS Config as a service: its calls, its rules' functions, and what it tells people.

AWS Config API reference; aws-facts 4.6. Simplifications: a rule that is asked on time is asked when it is
put and by StartConfigRulesEvaluation alone; results do not age; all Regions know nothing of each other.
"""

import json
import random
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from monitor.simulator.config import rules, words
from monitor.simulator.config.recorders import RECORDER_CALLS, no_recorder
from monitor.simulator.config.recording import Recording
from monitor.simulator.config.rules import Result, Rule, Token
from monitor.simulator.config.words import KEY, Item, Place
from monitor.simulator.functions import Functions
from monitor.simulator.kms import Kms
from monitor.simulator.words import Caller, Refusal, Reply

Publish = Callable[[str, str], Awaitable[bool]]
"""Publish a text to the topic with this ARN."""
Invoke = Callable[[str, dict[str, Any]], Awaitable[str]]
"""Call the function with this ARN; why it failed in the end, else nothing. Never raises."""
PRINCIPAL, RULES = PERMISSION = ("config.amazonaws.com", "config-rules")
"""What a function permits that judges for AWS Config: the principal, and for what."""
_PAGE = 100


class Config:
    """Recorders, channels, rules and verdicts of every account and Region."""

    def __init__(self, kms: Kms, *, now: Callable[[], float], rng: random.Random) -> None:
        self.recording = Recording(kms, now=now)
        self.recording.captured = self._tell_item
        self.oversized = False
        """Whether every item counts as too large for a message."""
        self.refusing: set[str] = set()
        """Ids of resources whose verdicts are not taken (FailedEvaluations)."""
        self.send: Callable[[str, str], Awaitable[Any]] = _nobody
        """Publishes to a topic: its ARN, and the text."""
        self.emit: Callable[[tuple[str, str, str], dict[str, Any]], None] = lambda *_: None
        """Puts an event on a bus of EventBridge."""
        self.invoke: Invoke | None = None
        """Where there are no functions no rule can be put."""
        self.knows: Callable[[str], bool] = lambda _: True
        """Whether there is a function with this ARN, and lets us call it."""
        self._now = now
        self._rng = rng
        self._rules: dict[tuple[Place, str], Rule] = {}
        self._tokens: dict[str, Token] = {}

    def call_functions(self, functions: Functions) -> None:
        """Have rules judged by these functions, as far as they let us call them."""

        async def ask(arn: str, event: dict[str, Any]) -> str:
            asked = functions.take(arn, json.dumps(event), by=PRINCIPAL, source=RULES)
            return "" if asked else "the function does not let AWS Config call it"

        def may_ask(arn: str) -> bool:
            function = functions.find(arn)
            return function is not None and PERMISSION in function.permitted

        self.invoke, self.knows = ask, may_ask

    def expire_tokens(self) -> None:
        """Make every result token given so far a token of the past."""
        self._tokens.clear()

    def call(
        self,
        operation: str,
        parameters: Mapping[str, Any],
        *,
        caller: Caller,
        account: str,
        region: str,
    ) -> Reply:
        """Answer one call or raise Refusal."""
        del caller  # deny rules have been asked already
        if operation in RECORDER_CALLS:
            return RECORDER_CALLS[operation](self.recording, parameters, (account, region))
        if operation not in self._operations:
            raise Refusal("UnknownOperationException", f"Config has no operation {operation}")
        return self._operations[operation](self, parameters, (account, region))

    # -- rules

    def _put_rule(self, parameters: Mapping[str, Any], place: Place) -> Reply:
        given = parameters["ConfigRule"]
        name = str(given.get("ConfigRuleName") or "")
        known = self._rules.get((place, name))
        if not name:
            raise rules.invalid("A rule needs a ConfigRuleName.")
        if self.recording.recorder(place).settings is None:
            raise no_recorder()
        rule_id = known.settings["ConfigRuleId"] if known else f"config-rule-{self._hex(6)}"
        settings = rules.checked_rule(given, name=name, rule_id=rule_id)
        rule = Rule(place, settings, known.results if known else {})
        if self.invoke is None or not self.knows(rule.function):
            raise Refusal(
                "InsufficientPermissionsException",
                f"The AWS Lambda function {rule.function} cannot be invoked. Check the specified "
                "function ARN, and check the function's permissions.",
            )
        self._rules[place, name] = rule
        self._ask(rule)
        return Reply()

    def _delete_rule(self, parameters: Mapping[str, Any], place: Place) -> Reply:
        rule = self._rule(parameters["ConfigRuleName"], place)
        del self._rules[place, rule.name]
        return Reply()

    def _describe_rules(self, parameters: Mapping[str, Any], place: Place) -> Reply:
        shown = [one.body() for one in self._named(parameters, place)]
        return Reply(body={"ConfigRules": shown}, read_only=True)

    def _rule_status(self, parameters: Mapping[str, Any], place: Place) -> Reply:
        shown = [one.status() for one in self._named(parameters, place)]
        return Reply(body={"ConfigRulesEvaluationStatus": shown}, read_only=True)

    def _start_evaluation(self, parameters: Mapping[str, Any], place: Place) -> Reply:
        for rule in self._named(parameters, place):
            self._ask(rule)
        return Reply()

    def _compliance(self, parameters: Mapping[str, Any], place: Place) -> Reply:
        """Of each rule: whether any resource is not as it should be."""
        shown = []
        for rule in self._named(parameters, place):
            kinds = {one.compliance for one in rule.results.values()} - {"NOT_APPLICABLE"}
            bad = "NON_COMPLIANT" in kinds
            kind = "NON_COMPLIANT" if bad else "COMPLIANT" if kinds else "INSUFFICIENT_DATA"
            shown.append({"ConfigRuleName": rule.name, "Compliance": {"ComplianceType": kind}})
        return Reply(body={"ComplianceByConfigRules": shown}, read_only=True)

    def _details(self, parameters: Mapping[str, Any], place: Place) -> Reply:
        """The verdicts of a rule; those that are not applicable only for who asks for them."""
        rule = self._rule(parameters["ConfigRuleName"], place)
        wanted = parameters.get("ComplianceTypes") or ["COMPLIANT", "NON_COMPLIANT"]
        found = [one for one in rule.results.values() if one.compliance in wanted]
        most = int(parameters.get("Limit") or _PAGE)
        start = int(parameters.get("NextToken") or 0)
        body: dict[str, Any] = {
            "EvaluationResults": [rules.shown(rule, one) for one in found[start : start + most]]
        }
        if start + most < len(found):
            body["NextToken"] = str(start + most)
        return Reply(body=body, read_only=True)

    def _put_evaluations(self, parameters: Mapping[str, Any], place: Place) -> Reply:
        token, now = str(parameters["ResultToken"]), self._now()
        known = self._tokens.get(token)
        given = list(parameters.get("Evaluations") or ())
        found = rules.checked_results(given, invoked_at=known.invoked_at if known else now, now=now)
        if parameters.get("TestMode"):
            return Reply(body={"FailedEvaluations": []})
        if known is None or known.place != place:
            raise Refusal("InvalidResultTokenException", "The result token is invalid.")
        rule = self._rule(known.rule, place)
        for result in found:
            if result.resource_id not in self.refusing:
                self._take(rule, result)
        failed = [one for one in given if one["ComplianceResourceId"] in self.refusing]
        return Reply(
            body={"FailedEvaluations": failed},
            additional_event_data={"configRuleName": rule.name},
        )

    def _take(self, rule: Rule, result: Result) -> None:
        """A verdict that is older than the one there changes nothing."""
        about = (result.resource_type, result.resource_id)
        before = rule.results.get(about)
        if before is not None and result.ordering < before.ordering:
            return
        rule.results[about] = result
        rule.ended_at = self._now()
        if before is None or before.compliance != result.compliance:
            self._tell_compliance(rule, result, before)

    def _rule(self, name: str, place: Place) -> Rule:
        rule = self._rules.get((place, name))
        if rule is None:
            raise Refusal(
                "NoSuchConfigRuleException",
                f"The ConfigRule '{name}' provided in the request is invalid. Please check the "
                "configRule name",
            )
        return rule

    def _named(self, parameters: Mapping[str, Any], place: Place) -> list[Rule]:
        names = parameters.get("ConfigRuleNames")
        if names:
            return [self._rule(name, place) for name in names]
        return [rule for (where, _), rule in self._rules.items() if where == place]

    # -- what it does by itself

    def _ask(self, rule: Rule) -> None:
        """Have a rule judge all there is."""
        if rule.on_change:
            for item in self.recording.latest(rule.place):
                self._ask_about(rule, item, None)
        if rule.on_time:
            self._call_function(
                rule,
                {
                    "awsAccountId": rule.place[0],
                    "notificationCreationTime": words.stamp(self._now()),
                    "messageType": "ScheduledNotification",
                    "recordVersion": "1.0",
                },
            )

    def _ask_about(self, rule: Rule, item: Item, before: Item | None) -> None:
        if rule.covers(item.resource_id):
            self._call_function(rule, self._message(item, before))

    def _call_function(self, rule: Rule, invoking: Mapping[str, Any]) -> None:
        assert self.invoke is not None
        token = self._hex(32)
        self._tokens[token] = Token(rule.place, rule.name, self._now())
        rule.invoked_at = self._now()
        event = rule.event(invoking, token, left_scope=False)
        invoke = self.invoke

        async def ask() -> None:
            rule.error = await invoke(rule.function, event)
            if rule.error:
                rule.failed_at = self._now()

        self.recording.start(ask(), f"simulator asks the rule {rule.name}")

    def _message(self, item: Item, before: Item | None) -> dict[str, Any]:
        account, region = item.place
        day = words.stamp(item.captured_at)[:10].replace("-", "/")
        bucket = (self.recording.recorder(item.place).channel or {}).get("s3BucketName", "")
        where = (
            f"{bucket}/AWSLogs/{account}/Config/{region}/{day}/OversizedChangeNotification/{KEY}/"
            f"{item.resource_id}/{item.state_id}.json.gz"
        )
        return words.item_message(
            item, before, self._now(), oversized=where if self.oversized else ""
        )

    def _tell_item(self, item: Item, before: Item | None) -> None:
        message = self._message(item, before)
        self._tell(item.place, "Config Configuration Item Change", message, [item.arn])
        for rule in self._rules.values():
            if rule.place == item.place and rule.on_change:
                self._ask_about(rule, item, before)

    def _tell_compliance(self, rule: Rule, result: Result, before: Result | None) -> None:
        account, region = rule.place
        message = {
            "awsAccountId": account,
            "configRuleName": rule.name,
            "configRuleARN": rule.arn,
            "resourceType": result.resource_type,
            "resourceId": result.resource_id,
            "awsRegion": region,
            "newEvaluationResult": _told(rule, result),
            "oldEvaluationResult": _told(rule, before) if before else None,
            "notificationCreationTime": words.stamp(self._now()),
            "messageType": "ComplianceChangeNotification",
            "recordVersion": "1.0",
        }
        self._tell(rule.place, "Config Rules Compliance Change", message, [])

    def _tell(
        self, place: Place, detail_type: str, message: dict[str, Any], resources: list[str]
    ) -> None:
        """On EventBridge, and by the topic of the delivery channel."""
        name = str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
        event = words.bridge_event(detail_type, place, message, name=name, resources=resources)
        self.emit((*place, "default"), event)
        topic = (self.recording.recorder(place).channel or {}).get("snsTopicARN")
        if topic:
            self.recording.send(lambda: self.send(topic, words.text(message)))

    def _hex(self, digits: int) -> str:
        return f"{self._rng.getrandbits(4 * digits):0{digits}x}"

    _operations: Mapping[str, Callable[["Config", Mapping[str, Any], Place], Reply]] = {
        "PutConfigRule": _put_rule,
        "DeleteConfigRule": _delete_rule,
        "DescribeConfigRules": _describe_rules,
        "DescribeConfigRuleEvaluationStatus": _rule_status,
        "DescribeComplianceByConfigRule": _compliance,
        "StartConfigRulesEvaluation": _start_evaluation,
        "GetComplianceDetailsByConfigRule": _details,
        "PutEvaluations": _put_evaluations,
    }


async def _nobody(_topic: str, _text: str) -> None:
    """Nobody listens."""


def _told(rule: Rule, result: Result) -> dict[str, Any]:
    """A verdict as a notification has it."""
    identifier = {
        "evaluationResultQualifier": {
            "configRuleName": rule.name,
            "resourceType": result.resource_type,
            "resourceId": result.resource_id,
        },
        "orderingTimestamp": words.stamp(result.ordering),
    }
    return {
        "evaluationResultIdentifier": identifier,
        "complianceType": result.compliance,
        "resultRecordedTime": words.stamp(result.recorded_at),
        "configRuleInvokedTime": words.stamp(result.invoked_at),
        "annotation": result.annotation or None,
        "resultToken": None,
    }
