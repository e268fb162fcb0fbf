"""The steps of the inventory that look at the guarded places: their trails, and the way to us.

See `monitor.loops.inventory`. CloudTrail's events are on the default bus of the account and Region
where they happened; from there a rule sends them into a queue, through a topic, or over one more bus to
another rule (EventBridge user guide, "Sending and receiving events between accounts"; there is no
third bus: aws-facts 10).
"""

from collections.abc import Iterable, Sequence
from typing import Any

from monitor.arns import bucket_arn
from monitor.event import KMS
from monitor.key import partition_of
from monitor.loops.looking import End, Look, Place, Step
from monitor.loops.turns import Turns
from monitor.sight.event_pattern import InvalidPatternError, parse
from monitor.sight.rules import lost
from monitor.sight.trails import sight

CRUCIAL = ("DisableKey", "ScheduleKeyDeletion")
"""A trail or a rule that shows neither shows nothing that matters.

One that shows some of what matters and not the rest is for the detectors of the change that did it.
"""


async def trails(look: Look, places: Sequence[Place]) -> dict[Place, bool | None]:
    """Whether some trail logs the KMS calls of each place; None where it cannot be told."""
    found = await Turns().each(places, lambda place: trails_of(look, place))
    answers = dict(zip(places, found, strict=True))
    if look.finds.arns["trails"]:
        # Else a trail there would count as somebody else's, only because others are known.
        for account, region in [place for place, (_, read) in answers.items() if not read]:
            whole = f"arn:{partition_of(region)}:cloudtrail:{region}:{account}:trail/*"
            look.finds.add("trails", whole)
    return {place: answer for place, (answer, _) in answers.items()}


async def trails_of(look: Look, place: Place) -> tuple[bool | None, bool]:
    """The same for one place; and whether its trails could be listed."""
    account, region = place
    known: list[bool | None] = []
    async with look.step(f"the trails of {account} {region}") as listed:
        client = await look.aws.cloudtrail(account, region)
        async with look.aws.calling("cloudtrail", "DescribeTrails"):
            found = (await client.describe_trails())["trailList"]
        for trail in found:
            note_trail(look, account, trail)
            known.append(await logs(look, client, trail["TrailARN"]))
    return verdict(known, listed), not listed.failed


def note_trail(look: Look, account: str, trail: Any) -> None:
    """A trail and all that it rests on."""
    arn, home = trail["TrailARN"], trail.get("HomeRegion", "")
    look.finds.add("trails", arn)
    look.finds.add("topics", trail.get("SnsTopicARN"))
    look.finds.add("log_groups", trail.get("CloudWatchLogsLogGroupArn"))
    if trail.get("S3BucketName"):
        look.finds.add("buckets", bucket_arn(home, trail["S3BucketName"]))
    what = f"the trail {arn.rpartition('/')[2]}"
    look.finds.add_key((account, home), trail.get("KmsKeyId"), what)


async def logs(look: Look, client: Any, arn: str) -> bool | None:
    """Whether one trail logs KMS calls now."""
    async with look.step(f"whether {arn} logs"):
        async with look.aws.calling("cloudtrail", "GetTrailStatus"):
            status = await client.get_trail_status(Name=arn)
        if not status.get("IsLogging"):
            return False
        async with look.aws.calling("cloudtrail", "GetEventSelectors"):
            answer = await client.get_event_selectors(TrailName=arn)
        return not sight(answer, CRUCIAL, uses=()).blind
    return None


async def roads(
    look: Look,
    places: Sequence[Place],
    ends: Sequence[End],
    topics: Iterable[str],
) -> dict[Place, bool | None]:
    """Whether a rule sends the KMS events of each place to us; None where it cannot be told."""
    targets = [*(end.arn for end in ends), *topics]
    hubs: set[str] = set()
    all_hubs = True
    for end in ends:
        entry = end.account if end.account in dict(places) else end.entry
        async with look.step(f"the event buses beside {end.arn}") as asked:
            client = await look.aws.client("events", end.region, entry)
            async with look.aws.calling("events", "ListEventBuses"):
                buses = (await client.list_event_buses())["EventBuses"]
            for bus in buses:
                sent = await sends(look, client, bus["Name"], targets, places)
                all_hubs = all_hubs and sent is not None
                if sent:
                    look.finds.add("buses", bus["Arn"])
                    hubs.add(bus["Arn"])
        all_hubs = all_hubs and not asked.failed

    async def road(place: Place) -> bool | None:
        account, region = place
        sent = None
        async with look.step(f"the rules of {account} {region}"):
            client = await look.aws.client("events", region, account)
            sent = await sends(look, client, "default", [*targets, *sorted(hubs)], [place])
        return sent if all_hubs else sent or None

    answers = dict(zip(places, await Turns().each(places, road), strict=True))
    if any(end.bulk for end in ends):
        # What comes in log files needs no rule.
        answers = {place: sent or None for place, sent in answers.items()}
    return answers


async def sends(
    look: Look, client: Any, bus: str, targets: Sequence[str], places: Sequence[Place]
) -> bool | None:
    """Whether a rule on this bus sends KMS events of one of the places to one of the targets."""
    known: list[bool | None] = []
    for target in targets:
        async with look.aws.calling("events", "ListRuleNamesByTarget"):
            answer = await client.list_rule_names_by_target(TargetArn=target, EventBusName=bus)
        for name in answer["RuleNames"]:
            async with look.step(f"the rule {name} on the bus {bus}") as asked:
                async with look.aws.calling("events", "DescribeRule"):
                    rule = await client.describe_rule(Name=name, EventBusName=bus)
                look.finds.add("rules", rule.get("Arn"))
                enabled = rule.get("State") != "DISABLED"
                known.append(enabled and lets_through(rule.get("EventPattern", ""), places))
            if asked.failed:
                known.append(None)
    return verdict(known)


def lets_through(text: str, places: Sequence[Place]) -> bool:
    """Whether a pattern lets KMS events of one of the places through. A schedule has no pattern."""
    try:
        pattern = parse(text)
    except InvalidPatternError:
        return False
    calls = [(KMS, name) for name in CRUCIAL]
    return any(
        len(lost(pattern, calls, account=account, region=region)) < len(calls)
        for account, region in places
    )


def verdict(known: Sequence[bool | None], asked: Step | None = None) -> bool | None:
    """True if any is; None if any may be, or if there may be others; else False."""
    if any(known):
        return True
    return None if None in known or (asked is not None and asked.failed) else False
