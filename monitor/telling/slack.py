"""Slack messages in Block Kit. Pure.

What came with events stands in `plain_text` objects, in which Slack reads no markup, no links and no
mentions; the fallback text, which is mrkdwn, is escaped and sent with mrkdwn off. Limits: "Blocks" and
"Text object" in Slack's documentation: 50 blocks, a header 150 characters, a section 3000, 10 fields
of 2000, a button's address 3000, `text` 4000.
"""

from typing import Any, Final

from monitor.decision import Decision
from monitor.finding import Severity
from monitor.telling import brief

SIGNS: Final = {
    Severity.INFO: "#8a8d91",
    Severity.LOW: "#2f7ed8",
    Severity.MEDIUM: "#e6b400",
    Severity.HIGH: "#e8710a",
    Severity.CRITICAL: "#c5221f",
}
"""Colour of the bar beside the message."""
HEADER: Final = 150
SECTION: Final = 3000
FIELD: Final = 2000
FIELDS: Final = 10


def plain(text: str, limit: int) -> dict[str, Any]:
    cut = text if len(text) <= limit else text[: limit - 3] + "..."
    return {"type": "plain_text", "text": cut or "-", "emoji": False}


def escaped(text: str) -> str:
    """For `text`, which Slack reads as markup whatever it is told ("Escaping text")."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def section(title: str, lines: list[str]) -> dict[str, Any]:
    return {"type": "section", "text": plain(f"{title}\n" + "\n".join(lines), SECTION)}


def envelope(headline: str, blocks: list[dict[str, Any]], severity: Severity) -> dict[str, Any]:
    """What is the same for every message. The fallback text is what notifications on phones show."""
    return {
        "text": escaped(headline),
        "mrkdwn": False,
        "parse": "none",
        "link_names": False,
        "blocks": [{"type": "header", "text": plain(headline, HEADER)}],
        "unfurl_links": False,
        "unfurl_media": False,
        "attachments": [{"color": SIGNS[severity], "blocks": blocks}],
    }


def message(decision: Decision, environment: str) -> dict[str, Any]:
    told = brief.brief(decision, environment)
    facts = [plain(f"{label}\n{value}", FIELD) for label, value in told.facts.items()]
    blocks: list[dict[str, Any]] = [
        {"type": "section", "text": plain(told.impact, SECTION)},
        *(
            {"type": "section", "fields": facts[start : start + FIELDS]}
            for start in range(0, len(facts), FIELDS)
        ),
        section("What was done", [f"- {one}" for one in told.done]),
        section("What to do now", [f"{n}. {one}" for n, one in enumerate(told.steps, 1)]),
    ]
    if told.links:
        blocks.append(
            {
                "type": "actions",
                "elements": [
                    {
                        "type": "button",
                        "action_id": f"open_{label}",
                        "text": plain(f"Open the {label}", 75),
                        "url": address,
                    }
                    for label, address in told.links.items()
                ],
            }
        )
    blocks.append({"type": "context", "elements": [plain(told.foot, FIELD)]})
    return envelope(told.subject, blocks, decision.weight)


def digest(decisions: list[Decision], environment: str) -> dict[str, Any]:
    found = brief.digest(decisions, environment)
    blocks = [section("The worst first", [f"- {one}" for one in found.lines])]
    return envelope(found.subject, blocks, found.severity)
