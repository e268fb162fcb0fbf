"""Tells in Microsoft Teams: an Adaptive Card to the address of a workflow.

Connectors of Office 365 are gone; the way is a workflow from the template "Send webhook alerts to a
channel". Its address is itself the secret. Its yes (202) says that the workflow has the card, not that
it was shown. A workflow knows no threads.
"""

from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, Field, model_validator

from monitor.channel import HttpChannel, HttpOptions, encoded
from monitor.decision import Decision
from monitor.errors import NotWorthRetrying
from monitor.http_door import checked_address
from monitor.plugins import Services
from monitor.secret_text import SecretVariable, one_of, read_secret
from monitor.telling import teams


class TeamsOptions(HttpOptions):
    """Settings of the responder `teams`."""

    address_file: Path | None = Field(
        default=None, description="File with the workflow's address, which is a secret."
    )
    address_env: SecretVariable = None

    @model_validator(mode="after")
    def has_an_address(self) -> "TeamsOptions":
        one_of("address", self.address_file, self.address_env)
        return self


class Teams(HttpChannel):
    name: ClassVar[str] = "teams"
    Options: ClassVar[type[BaseModel]] = TeamsOptions

    def __init__(self, options: TeamsOptions, services: Services) -> None:
        super().__init__(options, services)
        self.options = options

    async def tell(self, decision: Decision) -> str:
        return await self.send(teams.message(decision, self.services.environment))

    async def tell_many(self, decisions: list[Decision]) -> str:
        return await self.send(teams.digest(decisions, self.services.environment))

    async def send(self, card: dict[str, Any]) -> str:
        address = read_secret(self.options.address_file, self.options.address_env)
        try:
            checked_address(address)
        except ValueError as error:
            raise NotWorthRetrying(f"teams: the workflow's address {error}") from None
        answer = await self.post(address, encoded(card), {"Content-Type": "application/json"})
        return f"HTTP {answer.status}"
