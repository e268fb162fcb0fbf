"""Somebody told a CloudTrail trail, or an event data store, to leave out what is done to keys.

Any event selector may do it: `excludeManagementEventSources`, `readWriteType`, or an advanced
selector that takes other sources only. `monitor.sight.trails` judges what is left (aws-facts 7.1).
"""

from collections.abc import Iterable
from typing import Any, ClassVar

from pydantic import BaseModel, Field

from monitor.arns import arn_of, trail_arn
from monitor.detector import About, NoOptions
from monitor.event import Event
from monitor.finding import Finding, Kind, Severity
from monitor.parameters import listed, mapped, said
from monitor.sight.trails import Sight, sight
from monitor.whose import OnOurs, graded

CLOUDTRAIL = "cloudtrail.amazonaws.com"
USER_GUIDE = "https://docs.aws.amazon.com/awscloudtrail/latest/userguide"
REFERENCE = "https://docs.aws.amazon.com/awscloudtrail/latest/APIReference"
SELECTORS = ("eventSelectors", "advancedEventSelectors")


class TrailBlinded(OnOurs[NoOptions]):
    name: ClassVar = "trail_blinded"
    title: ClassVar = "CloudTrail trail no longer records KMS"
    about: ClassVar = About(
        description="Somebody changed the event selectors of a CloudTrail trail so that it no "
        "longer records what is done to KMS keys, or only part of it. Those events are gone from "
        "EventBridge, too.",
        severity="critical if no change of a key is recorded any more, high if some are not, medium "
        "if only the use of keys is not; low to medium if the trail is known not to be ours. "
        "Selectors that record everything are info. CloudTrail Insights switched off is low",
        techniques=("T1562.008",),
        false_positives=(
            "KMS is left out of a trail to save money, while another trail records it.",
            "A trail for data events is set up and records no management events.",
        ),
        advice=(
            "Look at the selectors: aws cloudtrail get-event-selectors --trail-name NAME.",
            "Put management events back, for reading and writing, with no source left out.",
            "Sweep all keys meanwhile: what was done since does not come back to the trail.",
        ),
        references=(
            f"{REFERENCE}/API_PutEventSelectors.html",
            f"{REFERENCE}/API_AdvancedFieldSelector.html",
            f"{USER_GUIDE}/logging-management-events-with-cloudtrail.html",
        ),
    )
    events: ClassVar = frozenset(
        (CLOUDTRAIL, name) for name in ("PutEventSelectors", "PutInsightSelectors")
    )

    def inspect(self, event: Event) -> Iterable[Finding]:
        request = event.request()
        arn = trail_arn(event, request.get("trailName") or event.response().get("trailARN"))
        ours = self.whose("trails", arn)
        if event.event_name == "PutInsightSelectors":
            return self.insights(event, request, arn, ours)
        if event.failed:
            what = "Changing the event selectors of a CloudTrail trail"
            return self.refused(event, what, "trails", arn, "cloudtrail")
        selectors = given_selectors(request) or given_selectors(event.response())
        if selectors is None:
            severity = graded(ours, Severity.MEDIUM, Severity.MEDIUM)
            title = "CloudTrail trail records what cannot be told"
            return [self.damage(event, title, severity, arn)] if severity else []
        seen = sight(selectors)
        severity, title = judged(seen, ours)
        if severity is None:
            return []
        tell = self.notice if severity is Severity.INFO else self.damage
        return [tell(event, title, severity, arn, told(seen))]

    def insights(
        self, event: Event, request: dict[str, Any], arn: str, ours: bool | None
    ) -> Iterable[Finding]:
        """CloudTrail Insights tell of unusual rates of calls; an empty list switches them off."""
        off = request.get("insightSelectors") == []
        if event.failed or not off or ours is False:
            return []
        return [self.notice(event, "CloudTrail Insights switched off", Severity.LOW, arn)]


class StoreOptions(BaseModel, extra="forbid"):
    short_retention_days: int = Field(
        90,
        ge=7,
        le=3653,
        description="An event data store that keeps events for so few days or fewer is told of.",
    )


class EventDataStoreStopped(OnOurs[StoreOptions]):
    name: ClassVar = "event_data_store_stopped"
    title: ClassVar = "CloudTrail Lake event data store stopped"
    about: ClassVar = About(
        description="Somebody stopped or deleted a CloudTrail Lake event data store, took its "
        "protection away, or told it to leave out KMS. It is where investigators look for what was "
        "done to a key; alerts do not depend on it.",
        severity="medium; high if the store is one of `watched.trails`; low where its selectors "
        "never may have been about management events. What starts it again is info",
        techniques=("T1562.008", "T1070"),
        false_positives=("A store that was made for one investigation is taken down after it.",),
        advice=(
            "Restore it within seven days of its deletion: aws cloudtrail restore-event-data-store.",
            "Start its ingestion again: aws cloudtrail start-event-data-store-ingestion.",
        ),
        references=(
            f"{REFERENCE}/API_DeleteEventDataStore.html",
            f"{REFERENCE}/API_UpdateEventDataStore.html",
            f"{USER_GUIDE}/query-event-data-store-delete.html",
        ),
    )
    events: ClassVar = frozenset(
        (CLOUDTRAIL, name)
        for name in (
            "DeleteEventDataStore",
            "RestoreEventDataStore",
            "StartEventDataStoreIngestion",
            "StopEventDataStoreIngestion",
            "UpdateEventDataStore",
        )
    )
    Options: ClassVar[type[BaseModel]] = StoreOptions

    def inspect(self, event: Event) -> Iterable[Finding]:
        request = event.request()
        arn = arn_of(event, "cloudtrail", request.get("eventDataStore"), kind="eventdatastore/")
        # `watched.trails` rarely names stores: one that it does not name may be ours all the same.
        severity = Severity.HIGH if self.whose("trails", arn) else Severity.MEDIUM
        match event.event_name:
            case "DeleteEventDataStore":
                what, title = "Deleting", "CloudTrail Lake event data store deleted"
            case "StopEventDataStoreIngestion":
                what, title = "Stopping", self.title
            case "UpdateEventDataStore":
                return self.updated(event, request, arn, severity)
            case _:
                title = "CloudTrail Lake event data store works again"
                recovery = self.notice(event, title, Severity.INFO, arn, kind=Kind.RECOVERY)
                return [] if event.failed else [recovery]
        if event.failed:
            return [self.attempt(event, f"{what} a CloudTrail Lake event data store", resource=arn)]
        return [self.notice(event, title, severity, arn)]

    def updated(
        self, event: Event, request: dict[str, Any], arn: str, severity: Severity
    ) -> Iterable[Finding]:
        if event.failed:
            what = "Changing a CloudTrail Lake event data store"
            return [self.attempt(event, what, resource=arn)]
        details = {name: text for name, text in SWITCHES.items() if said(request, name) is False}
        days = request.get("retentionPeriod")
        if (
            isinstance(days, int)
            and days is not True
            and 0 < days <= self.options.short_retention_days
        ):
            details["retentionPeriod"] = f"{days} days"
        selectors = given_selectors(request)
        if selectors is not None:
            seen = sight(selectors, uses=())
            if not seen.sees:
                if not details and not about_management(selectors):
                    severity = min(severity, Severity.LOW)
                details |= told(seen)
        title = "CloudTrail Lake event data store changed"
        return [self.notice(event, title, severity, arn, details)] if details else []


SWITCHES = {
    "terminationProtectionEnabled": "it can be deleted",
    "multiRegionEnabled": "other Regions are no longer recorded",
    "organizationEnabled": "member accounts are no longer recorded",
}


def judged(seen: Sight, ours: bool | None) -> tuple[Severity | None, str]:
    if seen.blind:
        severity = graded(ours, Severity.CRITICAL, Severity.CRITICAL, Severity.MEDIUM)
        return severity, TrailBlinded.title
    if not seen.sees:
        severity = graded(ours, Severity.HIGH, Severity.HIGH, Severity.LOW)
        return severity, "CloudTrail trail no longer records all of KMS"
    if not seen.sees_use:
        severity = graded(ours, Severity.MEDIUM, Severity.MEDIUM)
        return severity, "CloudTrail trail no longer records the use of KMS keys"
    return graded(ours, Severity.INFO, None), "CloudTrail trail's selectors set: it records KMS"


def told(seen: Sight) -> dict[str, str]:
    """What is lost and why, cut to what people read."""
    details = {"why": "; ".join(seen.why_not)[:300]} if seen.why_not else {}
    if seen.lost and not seen.blind:
        details["lost"] = ", ".join(seen.lost)[:300]
    return details


def given_selectors(members: dict[str, Any]) -> dict[str, Any] | None:
    """The selectors in a request or a response; None where there are none to judge."""
    found = {name: members[name] for name in SELECTORS if listed(members.get(name))}
    return found or None


def about_management(selectors: dict[str, Any]) -> bool:
    """Whether any advanced selector is about management events, as those of many stores are not."""
    return any(
        mapped(field).get("field") == "eventCategory"
        and "Management" in listed(mapped(field).get("equals"))
        for selector in listed(selectors.get("advancedEventSelectors"))
        for field in listed(mapped(selector).get("fieldSelectors"))
    )
