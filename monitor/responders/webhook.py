"""Posts each decision as signed JSON to an address of yours.

The body is the notification, alone or in a CloudEvent, or an OCSF Detection Finding. Signed after
Standard Webhooks: `webhook-id` is the same for every redelivery of one message, so that a receiver can
drop what it has seen; `webhook-timestamp` is when it was sent, and who verifies refuses what is
more than five minutes away. Any status from 200 to 299 confirms it.
"""

from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, Field, field_validator, model_validator

from monitor import signing
from monitor.channel import HttpChannel, HttpOptions, encoded
from monitor.decision import Decision
from monitor.errors import NotWorthRetrying
from monitor.http_door import checked_address
from monitor.plugins import Services
from monitor.secret_text import SecretVariable, one_of, read_secret
from monitor.telling import cloudevents, notification, ocsf

TYPES = {
    "json": "application/json",
    "cloudevents": "application/cloudevents+json",
    "ocsf": "application/json",
}
BATCH = "application/cloudevents-batch+json"
LARGEST = 512 * 1024
"""Bytes of a digest, roughly: many servers refuse more than 1 MB. What is more goes out in parts."""


class WebhookOptions(HttpOptions):
    """Settings of the responder `webhook`."""

    address: str | None = Field(
        default=None, description="https:// address; http:// only on loopback."
    )
    address_file: Path | None = Field(
        default=None, description="Instead: a file with the address, where it is a secret."
    )
    address_env: SecretVariable = None
    secret_file: Path | None = Field(
        default=None,
        description="File with the signing secret (whsec_ and 24 to 64 bytes in base64).",
    )
    secret_env: SecretVariable = None
    old_secret_file: Path | None = Field(
        default=None, description="A second secret to sign with, while receivers change theirs."
    )
    format: Literal["json", "cloudevents", "ocsf"] = Field(
        default="json",
        description="The notification as it is, in a CloudEvent 1.0, or as an OCSF 1.5 Detection "
        "Finding.",
    )

    @field_validator("address")
    @classmethod
    def is_an_address(cls, value: str | None) -> str | None:
        return value if value is None else checked_address(value)

    @model_validator(mode="after")
    def has_address_and_secret(self) -> "WebhookOptions":
        if self.address is None:
            one_of("address", self.address_file, self.address_env)
        elif self.address_file or self.address_env:
            raise ValueError("address, address_file and address_env: one of them")
        one_of("secret", self.secret_file, self.secret_env)
        return self


class Webhook(HttpChannel):
    name: ClassVar[str] = "webhook"
    Options: ClassVar[type[BaseModel]] = WebhookOptions

    def __init__(self, options: WebhookOptions, services: Services) -> None:
        super().__init__(options, services)
        self.options = options

    async def tell(self, decision: Decision) -> str:
        environment = self.services.environment
        body: dict[str, Any]
        match self.options.format:
            case "json":
                body = notification.message(decision, environment)
            case "cloudevents":
                body = cloudevents.cloud_event(decision, environment)
            case "ocsf":
                body = ocsf.detection_finding(decision, environment, self.services.clock.now())
        return await self.send(cloudevents.occasion(decision), body)

    async def tell_many(self, decisions: list[Decision]) -> str:
        """Machines get all of them whole: there is no shorter form that they could read."""
        environment, now = self.services.environment, self.services.clock.now()
        found: list[Any]
        match self.options.format:
            case "json":
                found = [notification.message(one, environment) for one in decisions]
            case "cloudevents":
                found = [cloudevents.cloud_event(one, environment) for one in decisions]
            case "ocsf":
                found = [ocsf.detection_finding(one, environment, now) for one in decisions]
        name = notification.digest(*(cloudevents.occasion(one) for one in decisions))
        words = [
            await self.send(f"digest.{name}.{number}", part)
            for number, part in enumerate(parts(found), 1)
        ]
        return ", ".join(words)

    async def send(self, name: str, document: object) -> str:
        options = self.options
        address = options.address or self.secret_address()
        secrets = [read_secret(options.secret_file, options.secret_env)]
        if options.old_secret_file:
            secrets.append(read_secret(options.old_secret_file, None))
        try:
            keys = [signing.secret_of(one) for one in secrets]
        except ValueError as error:
            raise NotWorthRetrying(f"webhook: the signing secret {error}") from None
        body = encoded(document)
        kind = TYPES[options.format]
        if options.format == "cloudevents" and isinstance(document, list):
            kind = BATCH
        headers = {"Content-Type": kind}
        headers |= signing.signed(keys, name, int(self.services.clock.now()), body)
        answer = await self.post(address, body, headers, secrets)
        return f"HTTP {answer.status} for {name}"

    def secret_address(self) -> str:
        address = read_secret(self.options.address_file, self.options.address_env)
        try:
            return checked_address(address)
        except ValueError as error:
            raise NotWorthRetrying(f"webhook: the address {error}") from None


def parts(documents: list[Any]) -> list[list[Any]]:
    """All of them in order, in as few lists as may be."""
    found: list[list[Any]] = [[]]
    size = 0
    for one in documents:
        more = len(encoded(one))
        if found[-1] and size + more > LARGEST:
            found.append([])
            size = 0
        found[-1].append(one)
        size += more
    return found
