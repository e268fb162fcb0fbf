"""Pages people by PagerDuty (Events API v2): one alert for each incident.

The alert's dedup key is the incident's id, so that everything about a key is one alert, and the end of
the incident resolves it, whoever put the key back. Findings without an incident have an alert for
the same trouble with the same thing, which people resolve. PagerDuty's yes (202) says that it has
the event; whom it wakes is PagerDuty's business.
"""

from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, Field, field_validator, model_validator

from monitor.channel import HttpChannel, HttpOptions, encoded, parsed
from monitor.decision import Decision
from monitor.errors import NotWorthRetrying
from monitor.finding import Kind
from monitor.http_door import Answer, checked_address
from monitor.plugins import Services
from monitor.secret_text import SecretVariable, one_of, read_secret
from monitor.setting_types import SeverityWord
from monitor.telling import brief, pagerduty

KEY_LENGTH = 32


class PagerDutyOptions(HttpOptions):
    """Settings of the responder `pagerduty`."""

    routing_key_file: Path | None = Field(
        default=None, description="File with the integration's key (32 characters)."
    )
    routing_key_env: SecretVariable = None
    address: str = Field(
        default="https://events.pagerduty.com/v2/enqueue",
        description="In the EU: https://events.eu.pagerduty.com/v2/enqueue.",
    )
    min_severity: SeverityWord = Field(
        default="high",
        description="Findings less severe than this page nobody; one that ends an incident counts "
        "as its incident.",
    )
    when_closed: Literal["resolve", "acknowledge", "leave"] = Field(
        default="resolve",
        description="What becomes of the alert when its incident is closed: `acknowledge` stops its "
        "escalation and leaves it to people to resolve it, `leave` does nothing.",
    )

    _address = field_validator("address")(checked_address)

    @model_validator(mode="after")
    def has_a_key(self) -> "PagerDutyOptions":
        one_of("routing_key", self.routing_key_file, self.routing_key_env)
        return self


class PagerDuty(HttpChannel):
    name: ClassVar[str] = "pagerduty"
    Options: ClassVar[type[BaseModel]] = PagerDutyOptions

    def __init__(self, options: PagerDutyOptions, services: Services) -> None:
        super().__init__(options, services)
        self.options = options

    async def told(self, decision: Decision) -> str:
        """What closes an alert does not wait behind a storm of those that open some."""
        if brief.is_over(decision) and not is_first_word(decision):
            return await self.alone(decision)
        return await super().told(decision)

    async def tell(self, decision: Decision) -> str:
        said = []
        if is_first_word(decision):
            said.append(await self.send(pagerduty.trigger(decision, self.services.environment)))
        if brief.is_over(decision) and self.options.when_closed != "leave":
            follow_up = pagerduty.follow_up(decision, self.options.when_closed)
            said.append(await self.send(follow_up))
        return ", ".join(said) or "the alert is left as it is"

    async def tell_many(self, decisions: list[Decision]) -> str:
        return await self.send(pagerduty.storm(decisions, self.services.environment))

    async def send(self, event: dict[str, Any]) -> str:
        key = read_secret(self.options.routing_key_file, self.options.routing_key_env)
        if len(key) != KEY_LENGTH:
            raise NotWorthRetrying(f"pagerduty: the routing key has not {KEY_LENGTH} characters")
        body = encoded({"routing_key": key} | event)
        headers = {"Content-Type": "application/json"}
        await self.post(self.options.address, body, headers, [key])
        return f"{event['event_action']} {event['dedup_key']}"

    def words_of(self, answer: Answer) -> str:
        said = parsed(answer)
        errors = said.get("errors")
        more = errors if isinstance(errors, list) else []
        return "; ".join(str(one) for one in (said.get("message", ""), *more[:3]) if one)


def is_first_word(decision: Decision) -> bool:
    """Whether it may be that nobody was paged for it yet.

    A key that was put back at once has its damage and the end of its incident in one decision. What
    only takes damage back never opens an alert.
    """
    quiet = decision.finding.kind in {Kind.RECOVERY, Kind.CHANGE}
    return not (quiet and decision.incident is not None)
