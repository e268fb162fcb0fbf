"""EventBridge: buses, rules and targets, and which targets an event goes to.

Rests on the EventBridge API reference and user guide. Simplifications: no schedules, no archives,
no bus policies (every account may send to every bus), no target roles.
"""

import json
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from monitor.sight import event_pattern
from monitor.simulator.words import Caller, Refusal, Reply

_RULE_NAME = re.compile(r"[.\w-]{1,64}", re.ASCII)
_MAX_TARGETS = 5
"""Per rule (EventBridge quotas)."""
EVERY_MANAGEMENT_EVENT = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"
_STATES = frozenset({"ENABLED", "DISABLED", EVERY_MANAGEMENT_EVENT})
_PUT_ENTRIES = 10

Place = tuple[str, str, str]
"""Account, Region and name of a bus."""


class Rule(msgspec.Struct):
    """One rule with its targets, by id, as PutTargets takes them."""

    name: str
    arn: str
    bus: str
    pattern: dict[str, Any]
    settings: dict[str, Any]
    """What PutRule takes beside the name: EventPattern (text), State, Description, RoleArn."""
    targets: dict[str, dict[str, Any]]

    def body(self) -> dict[str, Any]:
        """Show it as DescribeRule and ListRules do."""
        return {"Name": self.name, "Arn": self.arn, "EventBusName": self.bus} | self.settings

    def takes(self, event: Mapping[str, Any]) -> bool:
        """Tell whether an event triggers the rule.

        Read-only management events of CloudTrail need a state of their own; ENABLED is not enough.
        """
        state = self.settings["State"]
        if state == "DISABLED" or not event_pattern.matches(self.pattern, event):
            return False
        quiet = event["source"].startswith("aws.") and event["detail"].get("readOnly") is True
        return state == EVERY_MANAGEMENT_EVENT or not quiet


class Handover(msgspec.Struct, frozen=True):
    """An event on its way to one target of one rule."""

    rule: Rule
    target: dict[str, Any]
    event: dict[str, Any]


class EventBridge:
    """The buses of every account and Region; a `default` bus is everywhere."""

    def __init__(self, *, now: Callable[[], float]) -> None:
        self.sent: Callable[[Place, dict[str, Any]], None] = lambda _place, _event: None
        """Called with every event that PutEvents accepts."""
        self._now = now
        self._buses: dict[Place, dict[str, Rule]] = {}

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
        if operation not in self._operations:
            raise Refusal("UnknownOperationException", f"EventBridge has no operation {operation}")
        name = str(parameters.get("EventBusName") or "default").rpartition("/")[2]
        return self._operations[operation](self, parameters, (account, region, name))

    def handovers(self, place: Place, event: dict[str, Any]) -> Iterator[Handover]:
        """Find the targets to which an event on a bus goes now."""
        for rule in list(self._buses.get(place, {}).values()) if self._has(place) else []:
            if rule.takes(event):
                for target in list(rule.targets.values()):
                    yield Handover(rule, target, event)

    def _has(self, place: Place) -> bool:
        return place[2] == "default" or place in self._buses

    def _rules(self, place: Place) -> dict[str, Rule]:
        if not self._has(place):
            raise _absent(f"Event bus {place[2]} does not exist.")
        return self._buses.setdefault(place, {})

    def _rule(self, name: str, place: Place) -> Rule:
        rule = self._rules(place).get(name)
        if rule is None:
            raise _absent(f"Rule {name} does not exist on EventBus {place[2]}.")
        return rule

    def _create_bus(self, parameters: Mapping[str, Any], place: Place) -> Reply:
        where = (*place[:2], str(parameters["Name"]))
        if self._has(where):
            raise Refusal("ResourceAlreadyExistsException", f"Event bus {where[2]} already exists.")
        self._buses[where] = {}
        return Reply(body={"EventBusArn": _bus_arn(where)})

    def _delete_bus(self, parameters: Mapping[str, Any], place: Place) -> Reply:
        where = (*place[:2], str(parameters["Name"]).rpartition("/")[2])
        if where[2] == "default":
            raise _invalid("Cannot delete event bus default.")
        self._buses.pop(where, None)
        return Reply()

    def _list_buses(self, _: Mapping[str, Any], place: Place) -> Reply:
        names = {"default"} | {name for *where, name in self._buses if tuple(where) == place[:2]}
        buses = [{"Name": name, "Arn": _bus_arn((*place[:2], name))} for name in sorted(names)]
        return Reply(body={"EventBuses": buses}, read_only=True)

    def _put_rule(self, parameters: Mapping[str, Any], place: Place) -> Reply:
        name = str(parameters.get("Name", ""))
        if _RULE_NAME.fullmatch(name) is None:
            raise _invalid(f"1 validation error detected: Value '{name}' at 'name' is not a name")
        text = parameters.get("EventPattern")
        if text is None:
            raise _invalid("Parameter(s) EventPattern or ScheduleExpression must be specified.")
        state = parameters.get("State", "ENABLED")
        if state not in _STATES:
            raise _invalid(f"1 validation error detected: Value '{state}' at 'state' is no state")
        optional = {key: parameters[key] for key in _OPTIONAL if parameters.get(key)}
        rules = self._rules(place)
        path = name if place[2] == "default" else f"{place[2]}/{name}"
        known = rules.get(name)
        rules[name] = Rule(
            name=name,
            arn=f"arn:aws:events:{place[1]}:{place[0]}:rule/{path}",
            bus=place[2],
            pattern=_parsed(text),
            settings={"EventPattern": text, "State": state} | optional,
            targets=known.targets if known else {},
        )
        return Reply(body={"RuleArn": rules[name].arn})

    def _describe_rule(self, parameters: Mapping[str, Any], place: Place) -> Reply:
        rule = self._rule(parameters["Name"], place)
        return Reply(body=rule.body() | {"CreatedBy": place[0]}, read_only=True)

    def _list_rules(self, parameters: Mapping[str, Any], place: Place) -> Reply:
        prefix = parameters.get("NamePrefix", "")
        rules = [one.body() for one in self._rules(place).values() if one.name.startswith(prefix)]
        return Reply(body={"Rules": rules}, read_only=True)

    def _names_by_target(self, parameters: Mapping[str, Any], place: Place) -> Reply:
        names = [
            rule.name
            for rule in self._rules(place).values()
            if any(one["Arn"] == parameters["TargetArn"] for one in rule.targets.values())
        ]
        return Reply(body={"RuleNames": names}, read_only=True)

    def _enable(self, parameters: Mapping[str, Any], place: Place) -> Reply:
        self._rule(parameters["Name"], place).settings["State"] = "ENABLED"
        return Reply()

    def _disable(self, parameters: Mapping[str, Any], place: Place) -> Reply:
        self._rule(parameters["Name"], place).settings["State"] = "DISABLED"
        return Reply()

    def _delete_rule(self, parameters: Mapping[str, Any], place: Place) -> Reply:
        # A rule that is not there is deleted without complaint.
        rule = self._rules(place).get(parameters["Name"])
        if rule is not None and rule.targets:
            raise _invalid("Rule can't be deleted since it has targets.")
        self._rules(place).pop(parameters["Name"], None)
        return Reply()

    def _put_targets(self, parameters: Mapping[str, Any], place: Place) -> Reply:
        rule = self._rule(parameters["Rule"], place)
        added = {str(one["Id"]): one for one in parameters["Targets"]}
        for target in added.values():
            if len(str(target.get("Arn", "")).split(":", 5)) != 6:
                raise _invalid(
                    f"Parameter {target.get('Arn')} is not valid. Reason: Provided Arn is not in "
                    "correct format."
                )
            if "InputTransformer" in target and "InputTemplate" not in target["InputTransformer"]:
                raise _invalid("Parameter InputTransformer is not valid: InputTemplate is missing.")
        if len(rule.targets | added) > _MAX_TARGETS:
            raise Refusal(
                "LimitExceededException",
                "The requested resource exceeds the maximum number allowed.",
            )
        rule.targets |= added
        return Reply(body={"FailedEntryCount": 0, "FailedEntries": []})

    def _remove_targets(self, parameters: Mapping[str, Any], place: Place) -> Reply:
        rule = self._rule(parameters["Rule"], place)
        for target_id in parameters["Ids"]:
            rule.targets.pop(target_id, None)
        return Reply(body={"FailedEntryCount": 0, "FailedEntries": []})

    def _list_targets(self, parameters: Mapping[str, Any], place: Place) -> Reply:
        rule = self._rule(parameters["Rule"], place)
        return Reply(body={"Targets": list(rule.targets.values())}, read_only=True)

    def _test_pattern(self, parameters: Mapping[str, Any], _: Place) -> Reply:
        try:
            event = json.loads(parameters["Event"])
        except ValueError as error:
            raise _invalid("Parameter Event is not valid. Reason: Event is not JSON.") from error
        missing = [name for name in _ENVELOPE if name not in event]
        if missing:
            raise _invalid(f"Parameter Event is not valid. Reason: {missing[0]} is missing.")
        result = event_pattern.matches(_parsed(parameters["EventPattern"]), event)
        return Reply(body={"Result": result}, read_only=True)

    def _put_events(self, parameters: Mapping[str, Any], place: Place) -> Reply:
        entries = parameters.get("Entries") or []
        if not 1 <= len(entries) <= _PUT_ENTRIES:
            raise _invalid(f"Entries must hold 1 to {_PUT_ENTRIES} entries.")
        results = [self._put_event(entry, place) for entry in entries]
        failed = sum("ErrorCode" in one for one in results)
        return Reply(body={"FailedEntryCount": failed, "Entries": results})

    def _put_event(self, entry: Mapping[str, Any], place: Place) -> dict[str, str]:
        for name in ("Source", "DetailType", "Detail"):
            if not entry.get(name):
                return _failed("InvalidArgument", f"Parameter {name} is not valid.")
        if entry["Source"].startswith("aws."):
            return _failed("NotAuthorizedForSourceException", "Not authorized for the source.")
        try:
            detail = json.loads(entry["Detail"])
        except ValueError:
            return _failed("MalformedDetail", "Detail is malformed.")
        happened_at = float(entry.get("Time", self._now()))
        event = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": entry["DetailType"],
            "source": entry["Source"],
            "account": place[0],
            "time": datetime.fromtimestamp(happened_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": place[1],
            "resources": list(entry.get("Resources", [])),
            "detail": detail,
        }
        bus = str(entry.get("EventBusName") or "default").rpartition("/")[2]
        self.sent((place[0], place[1], bus), event)
        return {"EventId": event["id"]}

    _operations: Mapping[str, Callable[["EventBridge", Mapping[str, Any], Place], Reply]] = {
        "CreateEventBus": _create_bus,
        "DeleteEventBus": _delete_bus,
        "ListEventBuses": _list_buses,
        "PutRule": _put_rule,
        "DescribeRule": _describe_rule,
        "ListRules": _list_rules,
        "ListRuleNamesByTarget": _names_by_target,
        "EnableRule": _enable,
        "DisableRule": _disable,
        "DeleteRule": _delete_rule,
        "PutTargets": _put_targets,
        "RemoveTargets": _remove_targets,
        "ListTargetsByRule": _list_targets,
        "TestEventPattern": _test_pattern,
        "PutEvents": _put_events,
    }


_OPTIONAL = ("Description", "RoleArn")
_ENVELOPE = ("id", "account", "source", "time", "region", "resources", "detail-type")
"""What TestEventPattern demands of an event (API reference)."""


def _parsed(text: str) -> dict[str, Any]:
    try:
        return event_pattern.parse(text)
    except event_pattern.InvalidPatternError as error:
        raise Refusal(
            "InvalidEventPatternException", f"Event pattern is not valid. Reason: {error}"
        ) from error


def _bus_arn(place: Place) -> str:
    return f"arn:aws:events:{place[1]}:{place[0]}:event-bus/{place[2]}"


def _failed(code: str, message: str) -> dict[str, str]:
    return {"ErrorCode": code, "ErrorMessage": message}


def _absent(message: str) -> Refusal:
    return Refusal("ResourceNotFoundException", message)


def _invalid(message: str) -> Refusal:
    return Refusal("ValidationException", message)
