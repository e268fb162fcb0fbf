"""All built-in detectors over a mixed stream of decoded events, on one core.

Beside it, in the same run: five bare `if`s over the same events (the floor), and the same detectors
asked one after the other whether they want the event (what looking them up by name saves). Run by
`python -m benchmarks`; alone with pyperf's own options: `python -m benchmarks.detect`.
"""

import json
from collections.abc import Callable
from random import Random

import msgspec
import pyperf

from monitor import plugins
from monitor.detection import Detection
from monitor.detector import Detector
from monitor.event import Event
from monitor.knowledge import Knowledge
from monitor.metrics import Metrics
from tests.catalogue import cases, complete
from tests.samples import KEY_ID, record

MANY = 5_000
SHARE = 0.03
"""Of the events that a detector looks at. In CloudTrail's management events it is far less."""
BORING = (
    ("kms.amazonaws.com", "Decrypt"),
    ("kms.amazonaws.com", "GenerateDataKey"),
    ("kms.amazonaws.com", "DescribeKey"),
    ("sts.amazonaws.com", "AssumeRole"),
    ("ec2.amazonaws.com", "DescribeInstances"),
    ("s3.amazonaws.com", "GetBucketAcl"),
    ("logs.amazonaws.com", "CreateLogStream"),
)


def detectors(*, quiet: bool = True) -> list[Detector]:
    """All that are built in, or those that run by default."""
    knowledge = Knowledge()
    names = plugins.built_in() if quiet else plugins.chosen({}, defaults=True)
    kinds = [plugins.load("detectors", name) for name in names]
    return [kind(kind.Options(), knowledge) for kind in kinds]


def stream() -> list[Event]:
    """The same for every run: a day of many people and keys, mostly about other things.

    What is interesting is taken from the tests' cases, each at a time and under an id of its own.
    """
    dice, decode = Random(7), msgspec.json.Decoder(Event).decode
    boring = [
        decode(json.dumps(record(eventSource=source, eventName=name))) for source, name in BORING
    ]
    told = [complete(one, 1) for case in cases("fires") for one in case.given["records"]]
    told = [one for one in told if "detail-type" not in one]

    def interesting(number: int) -> Event:
        minute = number * 24 * 60 // MANY
        fresh = {
            "eventID": f"33333333-cccc-4ccc-8ccc-{number:012d}",
            "eventTime": f"2026-11-20T{minute // 60:02d}:{minute % 60:02d}:07Z",
        }
        user = f"arn:aws:iam::111122223333:user/user-{dice.randrange(100)}"
        who = {"type": "IAMUser", "arn": user, "accountId": "111122223333"}
        chosen = dice.choice(told)
        person = {} if "invokedBy" in str(chosen["userIdentity"]) else {"userIdentity": who}
        text = json.dumps(chosen | fresh | person)
        return decode(text.replace(KEY_ID, f"0a1b2c3d-0000-4000-8000-{dice.randrange(50):012d}"))

    return [
        interesting(number) if dice.random() < SHARE else dice.choice(boring)
        for number in range(MANY)
    ]


def bare_ifs(events: list[Event]) -> int:
    found = 0
    for event in events:
        if event.event_source == "kms.amazonaws.com":
            if event.event_name == "DisableKey":
                found += 1
            if event.event_name == "ScheduleKeyDeletion":
                found += 1
            if event.event_name == "PutKeyPolicy":
                found += 1
            if event.event_name == "DeleteImportedKeyMaterial":
                found += 1
            if event.event_name == "UpdateAlias":
                found += 1
    return found


def asked_in_turn(made: list[Detector]) -> Callable[[list[Event]], int]:
    def run(events: list[Event]) -> int:
        found = 0
        for event in events:
            for one in made:
                if (event.event_source, event.event_name) in one.events:
                    found += len(list(one.inspect(event)))
        return found

    return run


def looked_up(detection: Detection) -> Callable[[list[Event]], int]:
    def run(events: list[Event]) -> int:
        return sum(len(detection.inspect(event).findings) for event in events)

    return run


def main() -> None:
    runner = pyperf.Runner()
    events, made = stream(), detectors()
    interesting = [one for one in events if Detection(made, Metrics()).wanted.takes(one)]
    benches = {
        "five bare ifs (baseline)": (bare_ifs, events),
        "all detectors, looked up by name": (looked_up(Detection(made, Metrics())), events),
        "those on by default, looked up by name": (
            looked_up(Detection(detectors(quiet=False), Metrics())),
            events,
        ),
        "all detectors, asked in turn": (asked_in_turn(detectors()), events),
        "all detectors, only events they want": (
            looked_up(Detection(detectors(), Metrics())),
            interesting,
        ),
    }
    for name, (run, over) in benches.items():
        runner.bench_func(name, run, over, inner_loops=len(over))


if __name__ == "__main__":
    main()
