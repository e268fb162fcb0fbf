"""Tells by e-mail, through Amazon SES: plain text, one message for each stage of a finding.

SES builds the message from subject, text and addresses, so nothing that came with an event can add a
header; the subject is one line of printable ASCII. SES's yes says that it has the message.
"""

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, Field

from monitor.channel import Channel, ChannelOptions
from monitor.decision import Decision
from monitor.plugins import Services
from monitor.telling import brief, headline, notification

Address = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9._%+=-]{1,64}@[A-Za-z0-9.-]{1,190}$", max_length=254)
]


class EmailOptions(ChannelOptions):
    """Settings of the responder `email`."""

    region: str = Field(
        pattern=r"^[a-z]{2}(-[a-z]{1,12}){1,3}-\d{1,2}$", description="Region of SES."
    )
    sender: Address = Field(description="A verified address, or one of a verified domain.")
    recipients: list[Address] = Field(
        min_length=1, max_length=50, description="Who gets it; SES takes 50 at most."
    )


class Email(Channel):
    name: ClassVar[str] = "email"
    Options: ClassVar[type[BaseModel]] = EmailOptions

    def __init__(self, options: EmailOptions, services: Services) -> None:
        super().__init__(options, services)
        self.options = options

    async def tell(self, decision: Decision) -> str:
        environment = self.services.environment
        subject = headline.subject(decision, environment)
        return await self.send(subject, notification.text(decision, environment))

    async def tell_many(self, decisions: list[Decision]) -> str:
        found = brief.digest(decisions, self.services.environment)
        return await self.send(found.subject, "\n".join([found.subject, "", *found.lines]) + "\n")

    async def send(self, subject: str, text: str) -> str:
        aws = self.services.aws
        client = await aws.client("sesv2", self.options.region)
        async with aws.calling("ses", "SendEmail"):
            answer = await client.send_email(**request(self.options, subject, text))
        return f"MessageId {answer['MessageId']}"


def request(options: EmailOptions, subject: str, text: str) -> dict[str, Any]:
    return {
        "FromEmailAddress": options.sender,
        "Destination": {"ToAddresses": options.recipients},
        "Content": {
            "Simple": {
                "Subject": {"Data": subject, "Charset": "UTF-8"},
                "Body": {"Text": {"Data": text, "Charset": "UTF-8"}},
            }
        },
    }
