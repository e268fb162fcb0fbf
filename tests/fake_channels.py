"""The services that people are told by, as far as we use them: each refuses what the real one refuses.

Sources: PagerDuty "Send an Alert Event" and "PD-CEF"; Slack "Block Kit reference", "chat.postMessage", "Sending
messages using incoming webhooks"; Microsoft "Create incoming webhooks with Workflows", Adaptive Cards
schema 1.4; Standard Webhooks 1.0.
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

ROUTING_KEY = "R" * 32
TOKEN = "xoxb-not-a-real-token"
CHANNEL = "C0123456789"
SIGNING = "whsec_" + base64.b64encode(b"k" * 32).decode()
MENTION = re.compile(r"<[!@#][^>]*>|<at>")


class Refused(Exception):
    """Status and body of a no."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(str(body))
        self.status = status
        self.body = body


class Services:
    """`trouble`: answers (status, body, headers) to the next requests, whatever they hold."""

    def __init__(self) -> None:
        self.trouble: list[tuple[int, Any, dict[str, str]]] = []
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.alerts: dict[str, str] = {}
        """PagerDuty's, by dedup key: triggered, acknowledged or resolved."""
        self.events: list[dict[str, Any]] = []
        self.posts: list[dict[str, Any]] = []
        """Slack's messages, with their `ts`."""
        self.cards: list[dict[str, Any]] = []
        self.hooks: list[tuple[dict[str, str], Any]] = []
        self.archived = False
        self.now = 0.0
        """The receiver's clock; 0: it does not look at the time."""
        self.address = ""

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.requests.append((request.path, dict(request.headers)))
        if self.trouble:
            status, said, headers = self.trouble.pop(0)
            text = said if isinstance(said, str) else json.dumps(said)
            return web.Response(status=status, text=text, headers=headers)
        service = getattr(self, request.path.split("/")[1])
        try:
            status, said = service(request, body)
        except Refused as no:
            status, said = no.status, no.body
        if isinstance(said, str):
            return web.Response(status=status, text=said)
        return web.json_response(said, status=status)

    # -- PagerDuty

    def pagerduty(self, request: web.Request, body: bytes) -> tuple[int, Any]:
        wrong = pagerduty_faults(body)
        if wrong:
            said = {"status": "invalid event", "message": "Event object is invalid"}
            raise Refused(400, said | {"errors": wrong})
        event = json.loads(body)
        self.events.append(event)
        name, action = event["dedup_key"], event["event_action"]
        if action == "trigger" or name in self.alerts:
            self.alerts[name] = action
        said = {"status": "success", "message": "Event processed", "dedup_key": name}
        return 202, said

    # -- Slack

    def slackhook(self, request: web.Request, body: bytes) -> tuple[int, Any]:
        if self.archived:
            raise Refused(410, "channel_is_archived")
        message = json.loads(body)
        if slack_faults(message):
            raise Refused(400, "invalid_payload")
        self.posts.append(message)
        return 200, "ok"

    def slackapi(self, request: web.Request, body: bytes) -> tuple[int, Any]:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return 200, {"ok": False, "error": "invalid_auth"}
        message = json.loads(body)
        if message.get("channel") != CHANNEL:
            return 200, {"ok": False, "error": "channel_not_found"}
        if self.archived:
            return 200, {"ok": False, "error": "is_archived"}
        root = message.get("thread_ts")
        if root is not None and root not in {one["ts"] for one in self.posts}:
            return 200, {"ok": False, "error": "thread_not_found"}
        if slack_faults(message):
            return 200, {"ok": False, "error": "invalid_blocks"}
        moment = f"1795166043.{len(self.posts):06}"
        self.posts.append(message | {"ts": moment})
        return 200, {"ok": True, "channel": CHANNEL, "ts": moment, "message": {}}

    # -- Teams

    def teams(self, request: web.Request, body: bytes) -> tuple[int, Any]:
        if request.query.get("sig") != "secret":
            raise Refused(401, {"error": {"code": "DirectApiAuthorizationRequired"}})
        if len(body) > 28 * 1024:
            raise Refused(413, {"error": {"code": "RequestEntityTooLarge"}})
        if wrong := card_faults(json.loads(body)):
            raise Refused(400, {"error": {"message": wrong[0]}})
        self.cards.append(json.loads(body))
        return 202, ""

    # -- a webhook of ours

    def hook(self, request: web.Request, body: bytes) -> tuple[int, Any]:
        headers = {name.lower(): value for name, value in request.headers.items()}
        name, at = headers["webhook-id"], headers["webhook-timestamp"]
        secret = base64.b64decode(SIGNING.removeprefix("whsec_"))
        right = hmac.new(secret, f"{name}.{at}.".encode() + body, hashlib.sha256).digest()
        given = headers["webhook-signature"].split(" ")
        if "v1," + base64.b64encode(right).decode() not in given:
            raise Refused(401, "no signature of ours")
        if self.now and abs(self.now - int(at)) > 300:
            raise Refused(400, "a replay")
        self.hooks.append((headers, json.loads(body)))
        return 204, ""


@asynccontextmanager
async def services() -> AsyncIterator[Services]:
    made = Services()
    app = web.Application(client_max_size=2**20)
    app.router.add_post("/{path:.*}", made.handle)
    async with TestServer(app) as server:
        made.address = f"http://127.0.0.1:{server.port}"
        yield made


# -- what each would refuse


def pagerduty_faults(body: bytes) -> list[str]:
    if len(body) > 512 * 1024:
        return ["Event is too large"]
    event = json.loads(body)
    wrong = []
    if len(event.get("routing_key", "")) != 32:
        wrong.append("Length of 'routing_key' is incorrect (should be 32 characters)")
    if event.get("event_action") not in {"trigger", "acknowledge", "resolve"}:
        wrong.append("'event_action' is invalid")
    if not 0 < len(event.get("dedup_key", "")) <= 255:
        wrong.append("'dedup_key' is invalid")
    if event.get("event_action") != "trigger":
        return wrong
    payload = event.get("payload", {})
    if not 0 < len(payload.get("summary", "")) <= 1024:
        wrong.append("'payload.summary' is missing or blank")
    if not payload.get("source"):
        wrong.append("'payload.source' is missing or blank")
    if payload.get("severity") not in {"critical", "error", "warning", "info"}:
        wrong.append("'payload.severity' is invalid (must be one of the following: ...)")
    if "timestamp" in payload:
        datetime.fromisoformat(payload["timestamp"])
    if not isinstance(payload.get("custom_details", {}), dict):
        wrong.append("'payload.custom_details' is invalid")
    wrong += [
        "'links' is invalid"
        for link in event.get("links", [])
        if not link["href"].startswith("https://") or not isinstance(link["text"], str)
    ]
    known = {"routing_key", "event_action", "dedup_key", "payload", "links", "images", "client"}
    wrong += [f"'{name}' is unknown" for name in event.keys() - known - {"client_url"}]
    return wrong


def slack_faults(message: dict[str, Any]) -> list[str]:
    """Also what Slack would take, and people should not get: a mention that came with an event."""
    wrong = []
    if len(message.get("text", "")) > 4000 or not message.get("text"):
        wrong.append("text")
    if MENTION.search(message["text"]):
        wrong.append("mention")
    blocks = [*message.get("blocks", [])]
    blocks += [one for part in message.get("attachments", []) for one in part["blocks"]]
    if not 0 < len(blocks) <= 50:
        wrong.append("blocks")
    return wrong + [fault for block in blocks for fault in block_faults(block)]


def block_faults(block: dict[str, Any]) -> list[str]:
    match block["type"]:
        case "header":
            return text_faults(block["text"], 150)
        case "section" if "text" in block and "fields" not in block:
            return text_faults(block["text"], 3000)
        case "section" if 0 < len(block.get("fields", [])) <= 10 and "text" not in block:
            return [fault for one in block["fields"] for fault in text_faults(one, 2000)]
        case "actions" if len({one["action_id"] for one in block["elements"]}) == len(
            block["elements"]
        ):
            return [fault for one in block["elements"] for fault in button_faults(one)]
        case "context" if len(block["elements"]) <= 10:
            return [fault for one in block["elements"] for fault in text_faults(one, 2000)]
        case _:
            return [f"block {block}"]


def button_faults(button: dict[str, Any]) -> list[str]:
    address = button["url"]
    wrong = ["url"] * (not address.startswith("https://") or len(address) > 3000)
    return wrong + text_faults(button["text"], 75)


def text_faults(text: dict[str, Any], most: int) -> list[str]:
    right = text["type"] == "plain_text" and 0 < len(text["text"]) <= most
    return [] if right else [f"text object {text}"]


ELEMENTS = {
    "TextBlock": {"type", "text", "weight", "spacing", "size", "wrap", "isSubtle"},
    "RichTextBlock": {"type", "inlines"},
    "TextRun": {"type", "text", "weight", "size", "isSubtle", "fontType", "color"},
    "Container": {"type", "items", "style", "bleed"},
}
STYLES = {"default", "emphasis", "good", "attention", "warning", "accent"}
OURS = {"What was done", "What to do now", "The worst first"}


def card_faults(message: dict[str, Any]) -> list[str]:
    """After the schema of Adaptive Cards 1.4; and no Markdown is read but in words of ours."""
    if message.get("type") != "message" or len(message.get("attachments", [])) != 1:
        return ["attachments"]
    (attachment,) = message["attachments"]
    card = attachment["content"]
    wrong = []
    if attachment["contentType"] != "application/vnd.microsoft.card.adaptive":
        wrong.append("contentType")
    if card["type"] != "AdaptiveCard" or card["version"] != "1.4":
        wrong.append("card")
    elements = list(card["body"])
    while elements:
        one = elements.pop()
        if one["type"] not in ELEMENTS or one.keys() - ELEMENTS[one["type"]]:
            wrong.append(f"element {one}")
        elements += [*one.get("items", []), *one.get("inlines", [])]
        if one["type"] == "Container" and one["style"] not in STYLES:
            wrong.append("style")
        if one["type"] == "TextRun" and not one["text"]:
            wrong.append("empty run")
        if one["type"] == "TextBlock" and one["text"] not in OURS:
            wrong.append("Markdown from outside")
    wrong += [
        "action"
        for action in card.get("actions", [])
        if action["type"] != "Action.OpenUrl" or not action["url"].startswith("https://")
    ]
    return wrong
