"""What `kms-monitor approve` was asked for, and whether it may be approved."""

import re

from msgspec.structs import replace

from monitor.approval import ACTIONS, Approval, is_actor
from monitor.assembly import make_aws
from monitor.aws import Aws
from monitor.clock import Clock
from monitor.errors import MonitorError, SettingsError
from monitor.key import KeyRef
from monitor.metrics import Metrics
from monitor.repair.live import LiveKeys
from monitor.settings import Settings
from monitor.suppression import end_of as moment

ACTOR = re.compile(r"arn:aws[a-z-]{0,20}:iam::[0-9]{12}:(?:root|(?:user|role)/[!-~]{1,1000})")
DURATION = re.compile(r"(?P<count>[0-9]{1,6})(?P<unit>[mhd])")
UNITS = {"m": 60, "h": 3600, "d": 86400}
LONGEST = 14 * 86400
MOST_TEXT = 200
"""Characters of a ticket, a name or a reason: they stand in every notification."""


async def approved(asked: Approval, settings: Settings, clock: Clock) -> Approval:
    """With its approver. Raises `SettingsError` where it may not be; asks AWS only what it has to."""
    never, key = settings.never_approved, asked.key
    if never.holds(key, (), {}):
        raise never_approved(key)
    async with make_aws(settings, Metrics()) as aws:
        if not asked.approver:
            try:
                asked = replace(asked, approver=await aws.identity("", key.region))
            except MonitorError as error:
                fault = f"--approver: is needed, for AWS does not say who you are: {error}"
                raise SettingsError([fault]) from error
        if is_actor(asked.approver, asked.actor):
            fault = f"--approver: {asked.approver} is, or may be, the actor: somebody else has to"
            raise SettingsError([fault])
        if never.needs_to_know and never.holds(key, *await names_and_tags(key, aws, clock)):
            raise never_approved(key)
    return asked


async def names_and_tags(
    key: KeyRef, aws: Aws, clock: Clock
) -> tuple[tuple[str, ...], dict[str, str]]:
    """The key's aliases and tags. Raises `SettingsError` where they cannot be read."""
    keys = LiveKeys(aws, clock)
    try:
        whole, failures = await keys.read_whole(await keys.read(key))
        why = "; ".join(map(str, failures.values()))
    except MonitorError as error:
        whole, why = None, str(error)
    if whole is None or whole.aliases is None or whole.tags is None:
        raise SettingsError([f"never_approve: whether it holds the key cannot be told: {why}"])
    return whole.aliases, whole.tags


def never_approved(key: KeyRef) -> SettingsError:
    return SettingsError([f"--key: {key} is never to be approved for: see never_approve"])


# -- the command line; all of these raise `SettingsError`


def key_of(text: str, settings: Settings) -> KeyRef:
    key = KeyRef.parse(text)
    if key is None:
        raise SettingsError(["--key: must be a key's ARN, arn:aws:kms:REGION:ACCOUNT:key/ID"])
    if (key.account, key.region) not in settings.places:
        raise SettingsError([f"--key: {key} is in no account and Region of the settings"])
    return key


def action_of(text: str) -> str:
    if text not in ACTIONS:
        raise SettingsError([f"--action: must be one of {', '.join(sorted(ACTIONS))}"])
    return text


def actor_of(text: str) -> str:
    if ACTOR.fullmatch(text) is None:
        fault = (
            "--actor: must be the own ARN of an IAM user or role, path included, such as "
            "arn:aws:iam::111122223333:role/ops/key-admins; of a session, its role's"
        )
        raise SettingsError([fault])
    return text


def line_of(text: str, option: str, *, needed: bool = False) -> str:
    text = text.strip()
    if len(text) > MOST_TEXT or not text.isprintable() or (needed and not text):
        raise SettingsError([f"{option}: must be one line of at most {MOST_TEXT} characters"])
    return text


def until_of(text: str, now: float) -> float:
    try:
        match = DURATION.fullmatch(text)
        until = now + int(match["count"]) * UNITS[match["unit"]] if match else moment(text)
    except ValueError as error:
        fault = "--until: must be 30m, 2h, 7d, or a time with its zone: 2026-12-31T18:00:00Z"
        raise SettingsError([fault]) from error
    if not now < until <= now + LONGEST:
        raise SettingsError(["--until: must be later than now, and within 14 days"])
    return until
