"""What became of each scene and of the whole, and whether it is as it ought to be. No I/O."""

import re
from collections import Counter
from typing import Any

import msgspec
from prometheus_client import Metric

from monitor.demo.daemon import USER
from monitor.demo.story import ATTACKS, KEYS, SETUP, STORY, Played, Stage
from monitor.demo.told import Ear, Heard
from monitor.logs import printable

REPAIRER = "restore_key"


class Result(msgspec.Struct, frozen=True):
    """One scene with everything that was measured and heard about it. Times are seconds."""

    number: int
    operation: str
    key: str
    by: str
    setup: bool
    """Done before the monitor came."""
    forged: bool
    what: str
    event_id: str
    error: str
    """The error code that the monitor reports, where the call failed."""
    actor: str
    """As the monitor named the caller."""
    source_ip: str
    seen_seconds: float | None
    """Until the monitor first asked KMS about the key, or told about it, if that was earlier."""
    told_seconds: float | None
    """Until its notification came from the broker."""
    unsafe_seconds: float | None
    """How long the key was not in its right state; None if it still is not."""
    outcome: str
    kind: str
    reason: str
    calls: list[str]
    """The writing calls that the monitor says it sent."""
    writes: list[str]
    """Those that KMS saw."""
    reads: int
    detail: str
    severity: str
    title: str
    state: str
    wanted: str
    failed: list[str]
    """What is not as it ought to be."""

    @property
    def did(self) -> str:
        """What the monitor did, in as few words as fit a line."""
        if not self.outcome:
            return "NOTHING WAS HEARD OF IT"
        if self.kind == "attempt":
            return f"{self.error}: told people, no repair"
        if self.outcome == "told":
            what, _, which = self.title.partition(": ")
            # Of a policy the words, of a trail what is wrong with it and not its name.
            words = which if self.key else what.removeprefix("CloudTrail ")
            return f"told as {self.severity}: {words or what}"
        if self.outcome == "done":
            verified = re.search(r"verified ((?:its )?\w+)", self.detail)
            return f"{', '.join(self.calls)} -> {verified[1] if verified else self.detail}"
        if self.outcome == "already":
            return f"{self.reads} read{'s' * (self.reads != 1)}, {len(self.writes)} writes: is {self.state}"
        return self.detail or f"{self.outcome}: {self.reason}"


def judge(number: int, played: Played, heard: Heard | None, stage: Stage, mode: str) -> Result:
    """Put together what is known about a scene, right after the news of it came."""
    attack, wanted = played.attack, KEYS.get(played.attack.key, "")
    state = stage.state(attack.key)
    expected = "would" if mode == "observe" and attack.outcome == "done" else attack.outcome
    message: dict[str, Any] = heard.message if heard else {}
    actions = [one for one in message.get("actions", []) if one.get("responder") == REPAIRER]
    calls = [str(call) for action in actions for call in action["calls"]]
    own = stage.kms.by(USER, played.arn, played.at) if played.arn else []
    writes = [one.operation for one in own if not one.reads]
    reached = [one.at for one in own] + ([heard.at] if heard else [])
    outcome, actor = str(message.get("outcome", "")), message.get("actor", {})
    severity, detector = str(message.get("severity", "")), str(message.get("detector", ""))
    failed = []
    if state != wanted:
        failed.append(wrong(attack.key, state, wanted))
    if played.arn and not stage.kms.policy_stands(played.arn) and mode == "enforce":
        failed.append(f"{attack.key} has another policy than before")
    if not heard:
        failed.append("no notification came from the broker")
    elif outcome != expected:
        failed.append(f"the monitor reports {printable(outcome)!r}, expected {expected!r}")
    elif attack.detector and (detector, severity) != (attack.detector, "critical"):
        said = printable(f"{detector}, {severity}")
        failed.append(f"{said} was told, expected {attack.detector}, critical")
    if calls != writes:
        failed.append(f"the monitor reports {calls or 'no call'}, KMS saw {writes or 'none'}")
    return Result(
        number=number,
        operation=attack.operation,
        key=attack.key,
        by=attack.who,
        setup=attack is SETUP,
        forged=attack.forged,
        what=attack.what,
        event_id=played.event_id,
        error=printable(str(message.get("event", {}).get("error_code", ""))),
        actor=printable(str(actor.get("name", ""))),
        source_ip=printable(str(actor.get("source_ip", ""))),
        seen_seconds=min(reached) - played.at if reached else None,
        told_seconds=heard.at - played.at if heard else None,
        unsafe_seconds=stage.kms.unsafe_seconds(played.arn, played.at, wanted)
        if played.arn
        else 0.0,
        outcome=printable(outcome),
        kind=printable(str(message.get("kind", ""))),
        reason=printable(str(message.get("reason", ""))),
        calls=[printable(call) for call in calls],
        writes=writes,
        reads=sum(one.reads for one in own),
        detail=printable("; ".join(str(action["detail"]) for action in actions)),
        severity=printable(severity),
        title=printable(str(message.get("title", ""))),
        state=state,
        wanted=wanted,
        failed=failed,
    )


def wrong(key: str, state: str, wanted: str) -> str:
    return f"{key} is {state}, should be {wanted}"


class KeyEnd(msgspec.Struct, frozen=True):
    """A line of the table of final states."""

    key: str
    before: str
    attacks: str
    now: str

    @property
    def right(self) -> bool:
        return self.now == self.before


class Ending(msgspec.Struct):
    """The whole."""

    results: list[Result]
    keys: list[KeyEnd]
    sns: int
    mqtt: int
    forged_writes: int
    story: dict[str, Any]
    """What the monitor told of the attacks taken together, as it came from the broker."""
    figures: dict[str, str]
    metrics_url: str
    mode: str
    daemon_exit_code: int | None = None

    @property
    def failed(self) -> list[str]:
        """Every check that did not hold, as a sentence."""
        lines = [wrong(one.key, one.now, one.before) for one in self.keys if not one.right]
        if lines and self.mode == "observe":
            lines.insert(0, "mode observe: the monitor told, and wrote nothing, as it was asked to")
        for one in self.results:
            lines += [
                f"step {one.number} ({one.what}): {text}"
                for text in one.failed
                if text not in lines  # a key that is still wrong was named already
            ]
        count = len(self.results)
        for road, told in (("SNS", self.sns), ("MQTT", self.mqtt)):
            if told < count:
                lines.append(f"only {told} of {count} steps were told through {road}")
        if self.story.get("severity") != "critical":
            lines.append(f"{STORY} did not tell of the attacks taken together")
        if self.forged_writes:
            lines.append(f"the forged message led to {self.forged_writes} writes")
        if self.daemon_exit_code:
            lines.append(f"the daemon ended with exit code {self.daemon_exit_code} on SIGTERM")
        return lines


def tried(key: str) -> str:
    """The attacks on a key, each kind once: `DisableKey by mallory, twice`."""
    counts = Counter(
        f"{attack.operation} {'forged ' * attack.forged}by {attack.who}"
        for attack in ATTACKS
        if attack.key == key
    )
    return "; ".join(
        f"{what}, {count} times" if count > 1 else what for what, count in counts.items()
    )


def final_keys(stage: Stage) -> list[KeyEnd]:
    return [
        KeyEnd(
            key=name,
            before=before,
            attacks=tried(name),
            now=stage.state(name),
        )
        for name, before in KEYS.items()
    ]


def told(results: list[Result], ear: Ear) -> int:
    """How many of the scenes this road told about."""
    return sum(bool(ear.heard.get(result.event_id)) for result in results)


def writes_since(records: list[dict[str, Any]], arn: str) -> int:
    """The monitor's writing calls on a key, by CloudTrail; those that failed name no key there."""
    return sum(
        record["userIdentity"].get("userName") == USER
        and record["eventSource"] == "kms.amazonaws.com"
        and not record["readOnly"]
        and arn in {one["ARN"] for one in record.get("resources", [{"ARN": arn}])}
        for record in records
    )


def figures(families: dict[str, Metric]) -> dict[str, str]:
    """A few lines of what `/metrics` says."""
    found = {}
    done = {
        sample.labels["outcome"]: int(sample.value)
        for sample in samples(families, "kms_monitor_actions", "_total")
        if sample.labels["responder"] == REPAIRER and sample.value
    }
    found['kms_monitor_actions_total{responder="restore_key"}'] = ", ".join(
        f"{outcome} {count}" for outcome, count in sorted(done.items())
    )
    for name in ("detect_to_act", "act_to_verified"):
        family = f"kms_monitor_{name}_seconds"
        count = total(families, family, "_count")
        if count:
            mean = total(families, family, "_sum") / count
            found[family] = f"mean {mean:.3f} s of {count:.0f}"
    family = "kms_monitor_event_to_safe_seconds"
    count = total(families, family, "_count")
    for sample in samples(families, family, "_bucket"):
        if count and sample.value >= count / 2:
            # eventTime has whole seconds, so this counts up to one second too much.
            found[family] = f"p50 <= {sample.labels['le']} s (eventTime: whole seconds)"
            break
    return found


def samples(families: dict[str, Metric], family: str, ending: str) -> list[Any]:
    return [one for one in families[family].samples if one.name == family + ending]


def total(families: dict[str, Metric], family: str, ending: str) -> float:
    return float(sum(one.value for one in samples(families, family, ending)))
