"""Which of the settings decided, for people and machines: rule, tier, maintenance window, kill switch. Pure."""

from monitor.decision import Decision
from monitor.telling.headline import NAME, clean


def members(decision: Decision, limit: int) -> dict[str, object]:
    """Members of the message for machines: see `monitor.telling.notification`."""
    return {
        "rule": clean(decision.rule, limit),
        "tiers": [clean(one, NAME) for one in decision.tiers],
        "window": clean(decision.window, NAME),
        "stopped": clean(decision.stopped, limit),
    }


def lines(decision: Decision, limit: int) -> list[str]:
    """Which of the settings decided, for people; nothing where it was none of them."""
    said = [
        ("Rule", decision.rule),
        ("Tier", ", ".join(decision.tiers)),
        ("Meant", f"in the maintenance window {decision.window}" if decision.window else ""),
    ]
    return [f"{label:<8}{clean(words, limit)}" for label, words in said if words]


def dry_run_line(decision: Decision) -> str:
    if decision.stopped:
        return f"WRITES ARE STOPPED: {clean(decision.stopped)}. Nothing is written to KMS."
    return "DRY RUN: kms-monitor only watches here. Nothing was written to KMS."
