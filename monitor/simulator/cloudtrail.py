"""CloudTrail: trails, their selectors, and whether a trail sees a record.

Trails write no log files: what matters here is that EventBridge gets a record only while some
trail of the account logs it (CloudTrail user guide; EventBridge user guide, "Receiving events
via CloudTrail"). The event history does not depend on trails; see `history`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from monitor.simulator.history import History
from monitor.simulator.selectors import EVERYTHING, Selectors, selectors_from
from monitor.simulator.words import Caller, Refusal, Reply

_NAME = re.compile(r"(?=.{3,128}\Z)[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*")

_SETTINGS = {
    "S3BucketName": "",
    "S3KeyPrefix": "",
    "SnsTopicName": "",
    "IncludeGlobalServiceEvents": True,
    "IsMultiRegionTrail": False,
    "EnableLogFileValidation": False,
    "CloudWatchLogsLogGroupArn": "",
    "CloudWatchLogsRoleArn": "",
    "KmsKeyId": "",
    "IsOrganizationTrail": False,
}
"""What CreateTrail and UpdateTrail set, and what each is when not given."""


class Trail(msgspec.Struct):
    """One trail. Times are epoch seconds, 0 for never."""

    name: str
    account: str
    home_region: str
    settings: dict[str, Any]
    logging: bool = False
    started_at: float = 0.0
    stopped_at: float = 0.0
    selectors: Selectors = EVERYTHING
    insights: tuple[dict[str, Any], ...] = ()

    @property
    def arn(self) -> str:
        """Its ARN, which names the home Region wherever the trail is seen."""
        return f"arn:aws:cloudtrail:{self.home_region}:{self.account}:trail/{self.name}"

    def is_seen_in(self, region: str) -> bool:
        """Tell whether the trail covers a Region: its own, or all if it is multi-Region."""
        return region == self.home_region or bool(self.settings["IsMultiRegionTrail"])

    def body(self) -> dict[str, Any]:
        """Show it as DescribeTrails does."""
        shown = {name: value for name, value in self.settings.items() if value != ""}
        shown["LogFileValidationEnabled"] = shown.pop("EnableLogFileValidation")
        return {"Name": self.name, "TrailARN": self.arn} | shown

    def description(self) -> dict[str, Any]:
        """Show it with what only DescribeTrails and GetTrail know."""
        return self.body() | {
            "HomeRegion": self.home_region,
            "HasCustomEventSelectors": self.selectors != EVERYTHING,
            "HasInsightSelectors": bool(self.insights),
        }

    def status(self) -> dict[str, Any]:
        """Show it as GetTrailStatus does."""
        times = {"StartLoggingTime": self.started_at, "StopLoggingTime": self.stopped_at}
        return {"IsLogging": self.logging} | {name: at for name, at in times.items() if at}


class CloudTrail:
    """The trails of every account, and the event history."""

    def __init__(self, *, now: Callable[[], float]) -> None:
        self.history = History(now=now)
        self._now = now
        self._trails: dict[tuple[str, str], Trail] = {}
        """By account and ARN."""

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
        match operation:
            case "LookupEvents":
                return self.history.lookup(parameters, account=account, region=region)
            case "CreateTrail":
                return self._create(parameters, account, region)
            case "DescribeTrails":
                return self._describe(parameters, account, region)
            case "ListTrails":
                return Reply(body={"Trails": self._list(account)}, read_only=True)
            case _:
                return self._call_trail(operation, parameters, account, region)

    def _call_trail(
        self, operation: str, parameters: Mapping[str, Any], account: str, region: str
    ) -> Reply:
        name = str(parameters.get("Name") or parameters.get("TrailName") or "")
        if operation in _READS:
            body = _READS[operation](self._find(name, account, region))
            return Reply(body=body, read_only=True)
        if operation not in self._writes:
            raise Refusal("UnknownOperationException", f"CloudTrail has no operation {operation}")
        trail = self._find(name, account, region)
        if trail.home_region != region:
            raise Refusal(
                "InvalidHomeRegionException",
                f"Trail {trail.name} can be changed only in its home Region, {trail.home_region}.",
            )
        return self._writes[operation](self, trail, parameters)

    def watching(self, account: str, region: str) -> tuple[Selectors, ...]:
        """Take the selectors of every trail that is logging for this account and Region."""
        return tuple(
            trail.selectors
            for trail in self._of(account)
            if trail.logging and trail.is_seen_in(region)
        )

    def _of(self, account: str) -> Iterator[Trail]:
        return (trail for (owner, _), trail in self._trails.items() if owner == account)

    def _find(self, name: str, account: str, region: str) -> Trail:
        for trail in self._of(account):
            if name == trail.arn or (name == trail.name and trail.is_seen_in(region)):
                return trail
        raise Refusal("TrailNotFoundException", f"Unknown trail: {name} for the user: {account}")

    def _create(self, parameters: Mapping[str, Any], account: str, region: str) -> Reply:
        name = str(parameters.get("Name", ""))
        if _NAME.fullmatch(name) is None:
            raise Refusal("InvalidTrailNameException", f"Trail name {name!r} is not valid.")
        if not parameters.get("S3BucketName"):
            raise Refusal("InvalidS3BucketNameException", "S3BucketName must be given.")
        settings = {key: parameters.get(key, default) for key, default in _SETTINGS.items()}
        trail = Trail(name=name, account=account, home_region=region, settings=settings)
        if any(one.name == name and one.is_seen_in(region) for one in self._of(account)):
            raise Refusal(
                "TrailAlreadyExistsException",
                f"Trail {name} already exists for customer: {account}",
            )
        self._trails[account, trail.arn] = trail
        return Reply(body=trail.body())

    def _describe(self, parameters: Mapping[str, Any], account: str, region: str) -> Reply:
        wanted = parameters.get("trailNameList") or []
        shadows = parameters.get("includeShadowTrails", True)
        shown = [
            trail.description()
            for trail in self._of(account)
            if trail.is_seen_in(region)
            and (shadows or trail.home_region == region)
            and (not wanted or trail.name in wanted or trail.arn in wanted)
        ]
        return Reply(body={"trailList": shown}, read_only=True)

    def _list(self, account: str) -> list[dict[str, str]]:
        return [
            {"TrailARN": one.arn, "Name": one.name, "HomeRegion": one.home_region}
            for one in self._of(account)
        ]

    def _start(self, trail: Trail, _: Mapping[str, Any]) -> Reply:
        trail.logging, trail.started_at = True, self._now()
        return Reply()

    def _stop(self, trail: Trail, _: Mapping[str, Any]) -> Reply:
        trail.logging, trail.stopped_at = False, self._now()
        return Reply()

    def _delete(self, trail: Trail, _: Mapping[str, Any]) -> Reply:
        del self._trails[trail.account, trail.arn]
        return Reply()

    def _update(self, trail: Trail, parameters: Mapping[str, Any]) -> Reply:
        trail.settings |= {key: parameters[key] for key in _SETTINGS if key in parameters}
        return Reply(body=trail.body())

    def _put_selectors(self, trail: Trail, parameters: Mapping[str, Any]) -> Reply:
        trail.selectors = selectors_from(parameters)
        return Reply(body={"TrailARN": trail.arn} | trail.selectors.body())

    def _put_insights(self, trail: Trail, parameters: Mapping[str, Any]) -> Reply:
        trail.insights = tuple(parameters.get("InsightSelectors") or ())
        return Reply(body={"TrailARN": trail.arn, "InsightSelectors": list(trail.insights)})

    _writes: Mapping[str, Callable[["CloudTrail", Trail, Mapping[str, Any]], Reply]] = {
        "StartLogging": _start,
        "StopLogging": _stop,
        "DeleteTrail": _delete,
        "UpdateTrail": _update,
        "PutEventSelectors": _put_selectors,
        "PutInsightSelectors": _put_insights,
    }


def _insights(trail: Trail) -> dict[str, Any]:
    if not trail.insights:
        raise Refusal(
            "InsightNotEnabledException", f"Trail {trail.name} does not have Insights enabled."
        )
    return {"TrailARN": trail.arn, "InsightSelectors": list(trail.insights)}


_READS: Mapping[str, Callable[[Trail], dict[str, Any]]] = {
    "GetTrail": lambda trail: {"Trail": trail.description()},
    "GetTrailStatus": Trail.status,
    "GetEventSelectors": lambda trail: {"TrailARN": trail.arn} | trail.selectors.body(),
    "GetInsightSelectors": _insights,
}
