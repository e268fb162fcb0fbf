"""What a detector saw."""

import hashlib
import re
from enum import IntEnum, StrEnum
from typing import Any, Final

import msgspec

from monitor.key import KeyRef, KeyState


class Severity(IntEnum):
    """Ordered, so that a detector can raise it with `max`."""

    INFO = 1
    LOW = 2
    MEDIUM = 3
    HIGH = 4
    CRITICAL = 5

    @property
    def word(self) -> str:
        return self.name.lower()


class Kind(StrEnum):
    """What the finding says about the key."""

    DAMAGE = "damage"
    """A successful change that takes the key, or control of it, away."""
    ATTEMPT = "attempt"
    """Such a change was tried and failed (`errorCode` present): a signal, not a change."""
    CHANGE = "change"
    """A change that no detector minds, and that may move the baseline."""
    NOTICE = "notice"
    """Something that people should know and that no repair undoes."""
    RECOVERY = "recovery"
    """Somebody took damage back: what was wrong with the key may be over."""
    EVIDENCE = "evidence"
    """Somebody needed the key and could not use it (`errorCode` present)."""


class Aspect(StrEnum):
    """What of a key a change touches: what a repair would have to put back."""

    STATE = "state"
    POLICY = "policy"
    ROTATION = "rotation"
    ALIASES = "aliases"
    TAGS = "tags"
    GRANTS = "grants"
    DESCRIPTION = "description"
    REPLICATION = "replication"
    """Which Region is the primary, and where there are replicas."""


SERVICES: Final = {
    "cloudformation.amazonaws.com": "CloudFormation",
    "cloudcontrolapi.amazonaws.com": "Cloud Control API",
    "servicecatalog.amazonaws.com": "Service Catalog",
    "ssm.amazonaws.com": "Systems Manager",
}
"""What `invokedBy` says where a service of infrastructure as code acts for somebody."""
ERRANDS: Final = frozenset(
    {
        *SERVICES,
        "apigateway.amazonaws.com",
        "scheduler.amazonaws.com",
        "states.amazonaws.com",
    }
)
"""Services that make whatever call somebody has written down for them: who wrote it, did it."""
ROLE_OF_AWS: Final = re.compile(
    r"arn:aws[a-z-]*:(iam::[0-9]{12}:role/(aws-service-role/|aws:)|sts::[0-9]{12}:assumed-role/aws:)"
)
TOOLS: Final = {
    "cloudformation.amazonaws.com": "CloudFormation",
    "aws-cdk": "CDK",
    "aws-sam-cli": "SAM",
    # The next four stand on Terraform's provider, and may name it too: they come first.
    "cdktf": "CDK for Terraform",
    "pulumi": "Pulumi",
    "crossplane": "Crossplane",
    "opentofu": "OpenTofu",
    "terraform": "Terraform",
    "ansible": "Ansible",
    "aws-controllers-k8s": "AWS Controllers for Kubernetes",
    "ack-kms": "AWS Controllers for Kubernetes",
    "console.amazonaws.com": "console",
    "aws-internal/3 aws-sdk-java": "console",
    "aws-cli/": "AWS CLI",
    "boto3/": "boto3",
    "aws-sdk-": "AWS SDK",
}
"""Parts of a user agent, in small letters: the most telling first."""


CONFIG: Final = "config"
"""How AWS Config is called where it is the witness of a change."""
CONFIG_ITEM: Final = "ConfigurationItemChangeNotification"
CONFIG_OVERSIZED: Final = "OversizedConfigurationItemChangeNotification"
CONFIG_COMPLIANCE: Final = "ComplianceChangeNotification"
CONFIG_EVENTS: Final = frozenset({CONFIG_ITEM, CONFIG_OVERSIZED, CONFIG_COMPLIANCE})
"""The `messageType`s of AWS Config that say something about one resource; the others tell of Config's own
work."""


class Actor(msgspec.Struct, frozen=True):
    """Who called, as CloudTrail's `userIdentity` tells it. Every text may be empty."""

    type: str = ""
    arn: str = ""
    account: str = ""
    issuer_arn: str = ""
    """For a role session the role's ARN with its path, which the session's ARN has lost."""
    session: str = ""
    invoked_by: str = ""
    source_ip: str = ""
    user_agent: str = ""
    mfa: bool = False

    @property
    def name(self) -> str:
        """The best name there is, for people."""
        return self.arn or self.issuer_arn or self.invoked_by or self.account or "unknown"

    @property
    def answerable(self) -> str:
        """The ARN of the IAM user or role that answers for the call; "" where there is none.

        For a session (of a role or of a federated user) it is its issuer's, never a part of its
        own, which has lost the path (aws-facts 1.3) and ends in a name that its holder chose.
        """
        return self.issuer_arn if ":sts:" in self.arn else self.arn

    @property
    def principal(self) -> str:
        """Who it is, the same for all sessions of one role: what windows count by."""
        return self.issuer_arn or self.name

    @property
    def on_an_errand(self) -> bool:
        """Whether AWS made the call of its own accord for somebody, as EC2 makes a grant.

        Not so where a service only passes on what it was told to call.
        """
        return bool(self.invoked_by) and self.invoked_by not in ERRANDS

    @property
    def is_aws(self) -> bool:
        """Whether it is a role that only AWS can assume.

        Nobody else can make a service-linked role (IAM user guide, "Create a service-linked role"),
        nor one whose name has a colon, as EC2's `aws:ec2-infrastructure` has.
        """
        return bool(ROLE_OF_AWS.match(self.principal))

    @property
    def tool(self) -> str:
        """The tool that made the call, as it says itself; empty where it is no known one.

        `invokedBy` is AWS's own word; a user agent is the caller's, and may be a lie.
        """
        agent = self.user_agent.lower()
        return SERVICES.get(self.invoked_by) or next(
            (tool for mark, tool in TOOLS.items() if mark in agent), ""
        )

    @property
    def tool_is_vouched_for(self) -> bool:
        """Whether it is AWS that names the tool, and not the caller."""
        return self.invoked_by in SERVICES


class Finding(msgspec.Struct, frozen=True):
    """One thing that one detector saw in one event (times are epoch seconds)."""

    detector: str
    title: str
    kind: Kind
    severity: Severity
    event_id: str
    event_name: str
    event_time: float
    account: str
    region: str
    key: KeyRef | None = None
    """None where the record does not say which key it was about."""
    caused: KeyState | None = None
    """The state that this event leads to, where it leads to one."""
    aspect: Aspect = Aspect.STATE
    """What of the key it is about."""
    resource: str = ""
    """The ARN of a watched resource that it is about, such as our queue, where it is no key."""
    sight: bool = False
    """Whether `resource` is known to be what we see by: a trail, rule, queue or topic of ours."""
    actor: Actor = Actor()
    error_code: str = ""
    details: dict[str, str] = {}
    """Further facts for people, such as `window_days`. Values come from the event: untrusted."""
    tags: dict[str, str] = {}
    """The key's tags as they should be, as far as they are known, for suppression."""
    aliases: tuple[str, ...] = ()
    """The key's aliases (`alias/NAME`) as they should be, likewise."""
    tags_known: bool = False
    """Whether `tags` are all of them. Else the key may have any."""
    aliases_known: bool = False
    """Whether `aliases` are all of them."""
    techniques: tuple[str, ...] = ()
    """ATT&CK technique ids of its detector, such as T1485."""
    advice: tuple[str, ...] = ()
    """What to do now, in its detector's words."""
    changes: dict[str, Any] = {}
    """What the event changed about its key, by register: see `monitor.changes`. Filled in for it."""
    record_key: KeyRef | None = None
    """The key that the record names. Not always the one that suffers: an alias has two. Filled in."""
    occasion: str = ""
    """What makes it the same finding, where that is more than one event: a window's name."""

    @property
    def known_tags(self) -> dict[str, str] | None:
        """The key's tags as they should be; None where they are not known."""
        return self.tags if self.tags_known else None

    @property
    def known_aliases(self) -> tuple[str, ...] | None:
        """The key's aliases as they should be; None where they are not known."""
        return self.aliases if self.aliases_known else None

    @property
    def source(self) -> str:
        """`config` where AWS Config is the witness, which is slower than others and names no caller."""
        return CONFIG if self.event_name in CONFIG_EVENTS else ""

    @property
    def finding_id(self) -> str:
        """The same for every redelivery of the same event, or for all of the same occasion."""
        subject = self.key.arn if self.key else self.resource
        text = f"{self.detector}|{self.occasion or self.event_id}|{subject}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]
