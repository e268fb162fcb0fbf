"""An Adaptive Card 1.4 for a Teams workflow ("When a Teams webhook request is received"). Pure.

Teams reads Markdown in a TextBlock and in facts, so what came with events stands in runs of a
RichTextBlock, in which none is read ("Format cards in Teams", "TextRun"). A TextBlock holds words of ours
alone. A message may have 28 KB ("Create incoming webhooks with Workflows").
"""

import json
from typing import Any, Final

from monitor.decision import Decision
from monitor.finding import Severity
from monitor.telling import brief

MOST_BYTES: Final = 28 * 1024
STYLES: Final = {
    Severity.INFO: "default",
    Severity.LOW: "accent",
    Severity.MEDIUM: "warning",
    Severity.HIGH: "attention",
    Severity.CRITICAL: "attention",
}
Part = dict[str, Any]


def run(text: str, **how: Any) -> Part:
    return {"type": "TextRun", "text": text or "-", **how}


def rich(*runs: Part) -> Part:
    return {"type": "RichTextBlock", "inlines": list(runs)}


def title(words: str) -> Part:
    """Words of ours, without anything from outside."""
    return {"type": "TextBlock", "text": words, "weight": "Bolder", "spacing": "Medium"}


def envelope(severity: Severity, headline: str, body: list[Part], pages: dict[str, str]) -> Part:
    card: Part = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "fallbackText": "A message of kms-monitor that this client cannot show.",
        "msteams": {"width": "Full"},
        "body": [
            {
                "type": "Container",
                "style": STYLES[severity],
                "bleed": True,
                "items": [rich(run(headline, weight="Bolder", size="Large"))],
            },
            *body,
        ],
    }
    if pages:
        card["actions"] = [
            {"type": "Action.OpenUrl", "title": f"Open the {label}", "url": address}
            for label, address in pages.items()
        ]
    kind = "application/vnd.microsoft.card.adaptive"
    return {
        "type": "message",
        "attachments": [{"contentType": kind, "contentUrl": None, "content": card}],
    }


def message(decision: Decision, environment: str) -> Part:
    told = brief.brief(decision, environment)
    facts = [
        rich(run(f"{label}: ", weight="Bolder"), run(text)) for label, text in told.facts.items()
    ]
    done = [title("What was done"), *(rich(run(one)) for one in told.done)]
    steps = [
        rich(run(line, fontType="Monospace" if line.startswith("$ ") else "Default"))
        for number, step in enumerate(told.steps, 1)
        for line in f"{number}. {step}".split("\n")
    ]
    foot = rich(run(told.foot, isSubtle=True, size="Small"))
    start = [rich(run(told.impact)), *facts]
    whole = [*start, *done, title("What to do now"), *steps, foot]
    for body in (whole, [*start, *done, foot], [*start, foot]):
        made = envelope(decision.weight, told.subject, body, told.links)
        if len(json.dumps(made).encode()) <= MOST_BYTES:
            return made
    return envelope(decision.weight, told.subject, [foot], told.links)


def digest(decisions: list[Decision], environment: str) -> Part:
    found = brief.digest(decisions, environment)
    body = [title("The worst first"), *(rich(run(one)) for one in found.lines)]
    return envelope(found.severity, found.subject, body, {})
