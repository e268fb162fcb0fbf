"""Tells in Slack: by an incoming webhook, or as a bot with a thread for each incident.

A webhook is an address that is itself the secret, and posts into its one channel; Slack does not say which
message it made, so there are no threads. A bot (token with `chat:write`) posts by `chat.postMessage`:
the first message about an incident begins a thread, all others are replies, and those that people
have to see (it got worse, it is over) are shown in the channel, too. Which message began the
thread is in the ledger, so that all replicas know it.
"""

import asyncio
import re
from pathlib import Path
from typing import Any, ClassVar, Final
from uuid import uuid4

from pydantic import BaseModel, Field, field_validator, model_validator

from monitor.channel import HttpChannel, HttpOptions, Later, encoded, parsed
from monitor.decision import Action, Decision, Outcome, Stage
from monitor.errors import Denied, MonitorError, NotWorthRetrying
from monitor.http_door import Answer, checked_address
from monitor.ledger import Claim, StoreError, action_id
from monitor.plugins import Services
from monitor.secret_text import SecretVariable, one_of, read_secret
from monitor.telling import slack

LOUD: Final = frozenset({Stage.ESCALATED, Stage.REPAIR_FAILED, Stage.CONTESTED, Stage.CLOSED})
"""Stages whose replies are shown in the channel, too."""
MOMENT: Final = re.compile(r"[0-9]{1,12}\.[0-9]{1,9}")
"""How Slack names a message."""
PASSING: Final = frozenset(
    {"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable"}
    | {"request_timeout", "team_added_to_org"}
)
DENIED: Final = frozenset(
    {"not_authed", "invalid_auth", "account_inactive", "token_revoked", "token_expired"}
    | {"missing_scope", "no_permission", "not_in_channel", "access_denied", "ekm_access_denied"}
)
"""Errors of chat.postMessage that people can mend."""


class SlackOptions(HttpOptions):
    """Settings of the responder `slack`."""

    webhook_file: Path | None = Field(
        default=None, description="File with the address of an incoming webhook, which is a secret."
    )
    webhook_env: SecretVariable = None
    token_file: Path | None = Field(
        default=None, description="Instead of a webhook: file with a bot's token (chat:write)."
    )
    token_env: SecretVariable = None
    channel: str | None = Field(
        default=None,
        pattern=r"^[A-Z0-9]{2,20}$",
        description="With a token: the channel's id, such as C0123456789; the bot is in it.",
    )
    address: str = Field(
        default="https://slack.com/api/chat.postMessage",
        description="With a token: where messages are posted.",
    )

    _address = field_validator("address")(checked_address)

    @model_validator(mode="after")
    def is_webhook_or_bot(self) -> "SlackOptions":
        hook = bool(self.webhook_file or self.webhook_env)
        if hook and (self.token_file or self.token_env or self.channel):
            raise ValueError(
                "a webhook has neither a token nor a channel: take one way or the other"
            )
        if hook:
            one_of("webhook", self.webhook_file, self.webhook_env)
            return self
        one_of("token", self.token_file, self.token_env)
        if self.channel is None:
            raise ValueError("channel: a bot needs to know the channel's id")
        return self


class Slack(HttpChannel):
    name: ClassVar[str] = "slack"
    Options: ClassVar[type[BaseModel]] = SlackOptions

    def __init__(self, options: SlackOptions, services: Services) -> None:
        super().__init__(options, services)
        self.options = options

    async def tell(self, decision: Decision) -> str:
        message = slack.message(decision, self.services.environment)
        if self.options.channel is None or decision.incident is None:
            return await self.send(message)
        return await self.in_thread(message, decision.incident.id, decision.incident.stage)

    async def tell_many(self, decisions: list[Decision]) -> str:
        return await self.send(slack.digest(decisions, self.services.environment))

    # -- threads

    async def in_thread(self, message: dict[str, Any], incident: str, stage: Stage) -> str:
        """As the beginning of the incident's thread, or as a reply to it."""
        name = action_id("slack thread", f"{self.options.channel}|{incident}")
        owner = uuid4().hex
        root = await self.begun(name, owner)
        if root is None:
            try:
                words = await self.send(message)
            except (MonitorError, asyncio.CancelledError):
                await self.give_back(name, owner)
                raise
            await self.remember(name, owner, words)
            return words
        if root:
            message = message | {"thread_ts": root, "reply_broadcast": stage in LOUD}
        return await self.send(message)

    async def begun(self, name: str, owner: str) -> str | None:
        """The message that began the thread; None: it is ours to begin it; "": nobody knows."""
        try:
            for _ in range(10):
                grant = await self.services.store.claim(name, owner=owner, seconds=60)
                if grant.claim is Claim.GRANTED:
                    return None
                if grant.claim is Claim.DONE:
                    return grant.action.detail if grant.action else ""
                await asyncio.sleep(0.3)
        except StoreError:
            self.services.metrics.store.failed("thread")
        return ""

    async def remember(self, name: str, owner: str, root: str) -> None:
        if not MOMENT.fullmatch(root):
            return await self.give_back(name, owner)
        action = Action(self.name, Outcome.DONE, root)
        try:
            await self.services.store.finish(name, owner=owner, action=action)
        except StoreError:
            self.services.metrics.store.failed("thread")

    async def give_back(self, name: str, owner: str) -> None:
        try:
            await self.services.store.release(name, owner=owner)
        except StoreError:
            self.services.metrics.store.failed("thread")

    # -- sending

    async def send(self, message: dict[str, Any]) -> str:
        """What confirms it: Slack's name of the message, or its `ok`."""
        options = self.options
        headers = {"Content-Type": "application/json; charset=utf-8"}
        if options.channel is None:
            address = self.webhook()
            await self.post(address, encoded(message), headers)
            return "ok"
        token = read_secret(options.token_file, options.token_env)
        headers["Authorization"] = f"Bearer {token}"
        body = encoded({"channel": options.channel} | message)
        answer = await self.post(options.address, body, headers, [token])
        return str(parsed(answer).get("ts", ""))[:30]

    def webhook(self) -> str:
        address = read_secret(self.options.webhook_file, self.options.webhook_env)
        try:
            return checked_address(address)
        except ValueError as error:
            raise NotWorthRetrying(f"slack: the webhook's address {error}") from None

    def second_look(self, answer: Answer, where: str) -> MonitorError | None:
        """The Web API says no with status 200 and a word; a webhook says `ok`."""
        if self.options.channel is None:
            right = answer.body.strip() == b"ok"
            return None if right else NotWorthRetrying(f"{where}: it did not say ok")
        said = parsed(answer)
        if said.get("ok") is True and MOMENT.fullmatch(str(said.get("ts", ""))):
            return None
        word = str(said.get("error", "no JSON"))
        text = f"{where}: {slack.plain(self.words_of(answer), 100)['text']}"
        if word in PASSING:
            return Later(text, answer.retry_after)
        return Denied(text) if word in DENIED else NotWorthRetrying(text)

    def words_of(self, answer: Answer) -> str:
        """A webhook's no is a word such as `channel_is_archived`, the Web API's stands in `error`."""
        word = str(parsed(answer).get("error", "")) or answer.body[:60].decode("ascii", "replace")
        return word if re.fullmatch(r"[a-z_]{2,60}", word) else "an answer that is none of Slack's"
