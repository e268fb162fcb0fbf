"""Which rights the settings ask for: in each guarded account, and where the daemon lives. Pure."""

import re
from collections.abc import Iterable, Iterator

import msgspec

from monitor.finding import Aspect
from monitor.key import partition_of
from monitor.plugins import Loaded
from monitor.policy import Mode
from monitor.rights import table
from monitor.rights.table import On, Right
from monitor.settings import Settings
from monitor.settings_accounts import Account

ANY_ACCOUNT = "*"
"""Stands for all accounts of an organization's path."""
MANY_REGIONS = 4
"""With more Regions than this a policy names them once, in a condition: it may have 6,144 characters."""
MOST = 6144
"""Characters of a managed policy, blanks not counted (IAM user guide, "IAM and AWS STS quotas")."""
REGIONAL = {
    On.KEYS: (("kms", "key/*"),),
    On.KEYS_AND_ALIASES: (("kms", "key/*"), ("kms", "alias/*")),
    On.RULES: (("events", "rule/*"),),
}
"""Service and name of what is in each guarded Region."""


class Asked(msgspec.Struct, frozen=True):
    """One right, with the resources that it is needed on."""

    right: Right
    resources: tuple[str, ...]
    condition: dict[str, dict[str, object]]


class Needs:
    """What the settings need, account by account."""

    def __init__(self, settings: Settings, loaded: Loaded, daemon: str = "") -> None:
        """`daemon`: the own ARN of the role or user that it runs as, if that is known."""
        self.settings = settings
        self.loaded = loaded
        self.daemon = daemon

    # -- who is who

    @property
    def home(self) -> str:
        """The account that the daemon's own credentials are of, as far as the settings tell."""
        own = [one.id for one in self.settings.accounts if one.role_arn is None]
        queues = [queue.arn.split(":")[4] for queue in self.settings.queues if not queue.role_arn]
        others = [queue.arn.split(":")[4] for queue in self.settings.queues]
        return next(iter(own + queues + others + [one.id for one in self.settings.accounts]), "")

    @property
    def partition(self) -> str:
        return partition_of(self.settings.home_region)

    @property
    def members(self) -> list[Account]:
        """The accounts that are entered through a role; of each path one that stands for all."""
        by_id = [one for one in self.settings.accounts if one.role_arn is not None]
        # Without validation: `*` is no account id.
        return by_id + [
            Account.model_construct(
                id=ANY_ACCOUNT,
                regions=one.regions,
                role_arn=f"arn:{one.partition}:iam::{ANY_ACCOUNT}:role/{one.role_name}",
                external_id=one.external_id,
            )
            for one in self.settings.organizations
        ]

    def account(self, account: str) -> Account | None:
        """A guarded account by its id, or what stands for those of a path."""
        for one in [*self.settings.accounts, *self.members]:
            if one.id in {account, ANY_ACCOUNT}:
                return one
        return None

    # -- what is needed

    def in_guarded(self) -> Iterator[Right]:
        """In every guarded account."""
        yield from table.LOOK
        if self.settings.watched.discover:
            yield from table.DISCOVER
        yield from table.CHECK
        if self.settings.canary.keys:
            yield from table.CANARY
        if self.writes:
            yield from self.repairs()
        if self.writes and self.contains():
            yield from table.CONTAIN
        if "security_hub" in self.loaded.responders:
            yield from table.SECURITY_HUB
        if self.writes and "restore_sight" in self.loaded.responders:
            yield from table.SEE

    def contains(self) -> bool:
        """Whether whoever damages keys is locked out, and not only named."""
        recipe = self.loaded.responders.get("contain")
        return recipe is not None and not getattr(recipe.options, "dry_run", True)

    @property
    def writes(self) -> bool:
        """Whether anything at all may be put back: with the mode `observe` nothing is."""
        return Mode.ENFORCE in {self.settings.mode, *self.loaded.modes.values()}

    def repairs(self) -> Iterator[Right]:
        recipe = self.loaded.responders.get("restore_key")
        if recipe is None:
            return
        chosen = getattr(recipe.options, "aspects", recipe.plugin.aspects)
        for aspect in sorted(Aspect(one) for one in chosen):
            yield from table.RESTORE[aspect]
        if self.loaded.escrows:
            yield from table.REIMPORT

    def at_home(self) -> Iterator[Right]:
        """With the daemon's own credentials."""
        settings = self.settings
        if settings.queues:
            yield from table.LISTEN
        if self.home_resources(On.MEMBER_ROLES) != ("*",):
            yield from table.ENTER
        if any(one.list_role_arn is None for one in settings.organizations):
            yield from table.ORGANIZATION
        if any(queue.priority == "bulk" for queue in settings.queues):
            yield from table.READ_LOGS
        if settings.verify_digests:
            yield from table.VERIFY
        if settings.watched.discover and self.topics(On.EVENT_TOPICS):
            yield from table.DISCOVER_TOPICS
        if "sns" in self.loaded.responders:
            yield from table.SNS
        if "eventbridge" in self.loaded.responders:
            yield from table.EVENTBRIDGE
        if "email" in self.loaded.responders:
            yield from table.EMAIL
        if self.secrets and not self.escrow_role:
            yield from table.ESCROW
        if settings.store.kind == "dynamodb" and settings.store.role_arn is None:
            yield from table.REMEMBER

    # -- on what

    def asked_in(self, account: Account) -> list[Asked]:
        """In one guarded account."""
        return [
            self.on(right, account) for right in self.in_guarded() if self.is_here(right, account)
        ]

    def is_here(self, right: Right, account: Account) -> bool:
        """Whether the account has anything that the right could be about."""
        match right.on:
            case On.CANARIES:
                return bool(self.canaries(account))
            case On.OWN_ROLE | On.OWN_USER:
                return bool(self.ourselves(account, right.on))
            case On.SIGHT_QUEUES | On.SIGHT_TOPICS:
                return bool(self.seen_by(account, right.on))
            case _:
                return True

    def asked_at_home(self) -> list[Asked]:
        """With our own credentials; without those of the home account's own keys."""
        return [Asked(one, self.home_resources(one.on), {}) for one in self.at_home()]

    def on(self, right: Right, account: Account) -> Asked:
        partition = partition_of(account.regions[0])
        condition = {name: dict(values) for name, values in right.condition.items()}
        regions = account.regions
        if len(regions) > MANY_REGIONS and right.on in REGIONAL:
            regions = ["*"]
            condition.setdefault("StringEquals", {})["aws:RequestedRegion"] = account.regions
        found: Iterable[str]
        match right.on:
            case On.KEYS | On.KEYS_AND_ALIASES | On.RULES:
                found = (
                    f"arn:{partition}:{service}:{region}:{account.id}:{name}"
                    for service, name in REGIONAL[right.on]
                    for region in regions
                )
            case On.CANARIES:
                found = self.canaries(account)
            case On.SIGHT_QUEUES | On.SIGHT_TOPICS:
                found = self.seen_by(account, right.on)
            case On.TRAILS:
                found = (f"arn:{partition}:cloudtrail:*:*:trail/*",)
            case On.PRODUCTS:
                found = (f"arn:{partition}:securityhub:*:{account.id}:product/*",)
            case On.PRINCIPALS:
                start = f"arn:{partition}:iam::{account.id}:"
                found = (f"{start}role/*", f"{start}user/*")
            case On.OURSELVES | On.OWN_ROLE | On.OWN_USER:
                found = self.ourselves(account, right.on)
            case _:
                found = ("*",)
        return Asked(right, tuple(found), condition)

    def ourselves(self, account: Account, on: On) -> list[str]:
        """What the daemon is there, or may be; empty where it is surely nothing of the kind."""
        known = account.role_arn or self.daemon
        start = f"arn:{partition_of(account.regions[0])}:iam::{account.id}:"
        there = [known] if known else [f"{start}role/*", f"{start}user/*"]
        word = {On.OWN_ROLE: ":role/", On.OWN_USER: ":user/"}.get(on, ":")
        return [arn for arn in there if word in arn]

    def seen_by(self, account: Account, on: On) -> list[str]:
        """The queues or topics of that account that the settings name as ours."""
        known = self.settings.known_to_be_watched
        arns = known.queues if on is On.SIGHT_QUEUES else known.topics
        return sorted(arn for arn in arns if account.id in {arn.split(":")[4], ANY_ACCOUNT})

    def canaries(self, account: Account) -> list[str]:
        return [
            key.arn for key in self.settings.canary.refs if account.id in {key.account, ANY_ACCOUNT}
        ]

    def home_resources(self, on: On) -> tuple[str, ...]:
        found: Iterable[str]
        match on:
            case On.QUEUES:
                found = (queue.arn for queue in self.settings.queues if not queue.role_arn)
            case On.DEAD_LETTERS:
                own = [f"{queue.arn}-dlq" for queue in self.settings.queues if not queue.role_arn]
                found = self.settings.watched.queues or own
            case On.MEMBER_ROLES:
                roles = {one.role_arn for one in self.members if one.role_arn}
                roles |= {queue.role_arn for queue in self.settings.queues if queue.role_arn}
                roles |= {role for role in [self.settings.store.role_arn] if role}
                asking = (one.list_role_arn for one in self.settings.organizations)
                found = sorted(roles | {role for role in (*asking, self.escrow_role) if role})
            case On.SECRETS:
                found = self.secrets
            case On.TABLE:
                store = self.settings.store
                region = store.region or self.settings.home_region
                arn = f"arn:{self.partition}:dynamodb:{region}:{self.home}:table/{store.table}"
                found = (arn, f"{arn}/index/changes")
            case On.EVENT_TOPICS | On.TOLD_BY:
                found = self.topics(on)
            case On.TOLD_ON:
                found = self.option("eventbridge", "bus_arn")
            case On.SENDER:
                start = f"arn:{self.partition}:ses:{''.join(self.option('email', 'region'))}"
                sender = "".join(self.option("email", "sender"))
                domain = sender.partition("@")[2]
                found = (f"{start}:{self.home}:identity/{one}" for one in (sender, domain))
            case On.LOG_FILES:
                buckets = self.settings.watched.buckets or [f"arn:{self.partition}:s3:::*"]
                found = (f"{bucket}/*AWSLogs/*" for bucket in buckets)
            case _:
                found = ("*",)
        return tuple(found) or ("*",)

    def option(self, responder: str, name: str) -> list[str]:
        """What an option of a responder says; nothing where that is not enabled."""
        recipe = self.loaded.responders.get(responder)
        return [str(getattr(recipe.options, name, ""))] if recipe else []

    def topics(self, on: On) -> list[str]:
        told_by = self.option("sns", "topic_arn")
        return sorted({*told_by, *(self.settings.sns_topics if on is On.EVENT_TOPICS else ())})

    @property
    def escrow_role(self) -> str:
        """The role by which secrets are read, if there is one."""
        recipe = self.loaded.escrows.get("secretsmanager")
        return str(getattr(recipe.options, "role_arn", "") or "") if recipe else ""

    @property
    def secrets(self) -> list[str]:
        """The secrets of the escrow `secretsmanager`; AWS adds six characters to a name."""
        recipe = self.loaded.escrows.get("secretsmanager")
        if recipe is None:
            return []
        region, names = getattr(recipe.options, "region", ""), getattr(recipe.options, "secret", ())
        start = f"arn:{self.partition}:secretsmanager:{region}:{self.home}:secret:"
        found = [
            re.sub(r"\{\w+\}", "*", one) for one in ([names] if isinstance(names, str) else names)
        ]
        return [one if one.startswith("arn:") else f"{start}{one}-??????" for one in found]
