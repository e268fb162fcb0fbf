"""The calls of every part of the daemon, by their IAM names. Pure.

Names, resources and conditions: Service Authorization Reference (AWS KMS, CloudTrail, EventBridge, IAM, SQS,
SNS, S3, STS, Organizations), and aws-facts 8.1. Batches of SQS need the single call's right.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

import msgspec

from monitor.finding import Aspect


class On(StrEnum):
    """What a call is made on: how a policy writes its resource."""

    EVERYTHING = "everything"
    """Calls that know no resource: `*`."""
    KEYS = "keys"
    """All keys of the guarded Regions."""
    KEYS_AND_ALIASES = "keys and aliases"
    """For calls that both have to allow (aws-facts 8.1)."""
    CANARIES = "canaries"
    TRAILS = "trails"
    """Of any account: an organization's trail belongs to its management account."""
    RULES = "rules"
    OURSELVES = "ourselves"
    """The role or user that the daemon is in that account."""
    OWN_ROLE = "own role"
    """The same, where it is a role."""
    OWN_USER = "own user"
    PRINCIPALS = "principals"
    """All roles and users of the account."""
    QUEUES = "queues"
    DEAD_LETTERS = "dead letters"
    """Their dead-letter queues: `watched.queues`, or each queue's name and `-dlq`."""
    EVENT_TOPICS = "event topics"
    """Those that wrap events, and those that people are told by."""
    TOLD_BY = "told by"
    PRODUCTS = "products of Security Hub"
    TOLD_ON = "the bus that is told on"
    SENDER = "the sender of e-mail"
    SIGHT_QUEUES = "queues that we see by"
    SIGHT_TOPICS = "topics that we see by"
    TABLE = "table"
    """The DynamoDB table, with its index."""
    LOG_FILES = "log files"
    SECRETS = "secrets"
    FUNCTION_LOG = "the function's log group"
    PARAMETER = "the parameter with a function's settings"
    CONFIG_RULES = "rules of AWS Config"
    MEMBER_ROLES = "member roles"
    """The roles that are assumed in other accounts."""


class Right(msgspec.Struct, frozen=True):
    """Calls that one part makes on one kind of resource."""

    sid: str
    """The name of its statement."""
    calls: tuple[str, ...]
    """Such as `kms:EnableKey`."""
    on: On
    condition: Mapping[str, Mapping[str, Any]] = {}
    optional: bool = False
    """Without it the daemon does its work, and says what it cannot find out."""


KEEP_LOCKOUT_CHECK: Final = {"Bool": {"kms:BypassPolicyLockoutSafetyCheck": "false"}}

# -- in every guarded account

LOOK: Final = (
    Right("Look", ("kms:DescribeKey",), On.KEYS),
    Right(
        "LookCloser",
        (
            "kms:GetKeyPolicy",
            "kms:GetKeyRotationStatus",
            "kms:GetKeyLastUsage",
            "kms:ListGrants",
            "kms:ListResourceTags",
        ),
        On.KEYS,
        optional=True,
    ),
    Right("List", ("kms:ListKeys", "kms:ListAliases"), On.EVERYTHING),
    Right("LookUp", ("cloudtrail:LookupEvents",), On.EVERYTHING),
)
"""Sweep, responders, incidents and approvals."""
DISCOVER: Final = (
    Right(
        "Discover",
        ("cloudtrail:DescribeTrails", "events:ListEventBuses", "events:ListRuleNamesByTarget"),
        On.EVERYTHING,
        optional=True,
    ),
    Right(
        "DiscoverTrails",
        ("cloudtrail:GetTrailStatus", "cloudtrail:GetEventSelectors"),
        On.TRAILS,
        optional=True,
    ),
    Right("DiscoverRules", ("events:DescribeRule",), On.RULES, optional=True),
    Right(
        "DiscoverOurRole",
        ("iam:GetRole", "iam:ListAttachedRolePolicies"),
        On.OWN_ROLE,
        optional=True,
    ),
    Right("DiscoverOurUser", ("iam:ListAttachedUserPolicies",), On.OWN_USER, optional=True),
)
"""The inventory (`watched.discover`)."""
CANARY: Final = (Right("Canary", ("kms:EnableKey",), On.CANARIES),)
CHECK: Final = (
    Right("CheckRights", ("iam:SimulatePrincipalPolicy",), On.OURSELVES, optional=True),
)
"""`kms-monitor check` asks IAM itself with it, and has to guess without."""

RESTORE: Final[Mapping[Aspect, tuple[Right, ...]]] = {
    Aspect.STATE: (
        Right("RestoreState", ("kms:CancelKeyDeletion", "kms:EnableKey"), On.KEYS),
        # Only for keys in a custom key store; KMS knows no resource for it (aws-facts 8.1).
        Right("Reconnect", ("kms:ConnectCustomKeyStore",), On.EVERYTHING, optional=True),
    ),
    Aspect.POLICY: (
        Right("RestorePolicy", ("kms:PutKeyPolicy",), On.KEYS, condition=KEEP_LOCKOUT_CHECK),
    ),
    Aspect.ROTATION: (Right("RestoreRotation", ("kms:EnableKeyRotation",), On.KEYS),),
    Aspect.ALIASES: (
        Right(
            "RestoreAliases",
            ("kms:CreateAlias", "kms:UpdateAlias"),
            On.KEYS_AND_ALIASES,
        ),
    ),
    Aspect.TAGS: (Right("RestoreTags", ("kms:TagResource", "kms:UntagResource"), On.KEYS),),
    Aspect.GRANTS: (Right("RestoreGrants", ("kms:CreateGrant", "kms:RevokeGrant"), On.KEYS),),
    Aspect.DESCRIPTION: (Right("RestoreDescription", ("kms:UpdateKeyDescription",), On.KEYS),),
    Aspect.REPLICATION: (Right("RestorePrimary", ("kms:UpdatePrimaryRegion",), On.KEYS),),
}
"""`restore_key`, by what of a key it puts back."""
CONTAIN: Final = (
    Right(
        "Contain",
        ("iam:GetRolePolicy", "iam:PutRolePolicy", "iam:GetUserPolicy", "iam:PutUserPolicy"),
        On.PRINCIPALS,
    ),
)
"""The responder `contain`; its commands are for people, with rights of their own (docs/contain.md)."""
REIMPORT: Final = (
    Right(
        "Reimport",
        ("kms:GetParametersForImport", "kms:ImportKeyMaterial"),
        On.KEYS,
        condition={"StringEquals": {"kms:KeyOrigin": "EXTERNAL"}},
    ),
    Right("KnowMaterial", ("kms:ListKeyRotations",), On.KEYS, optional=True),
)
"""Where there is an escrow of imported material."""

SEE: Final = (
    Right(
        "LookAtWhatWeSeeBy",
        ("cloudtrail:DescribeTrails", "sqs:GetQueueUrl", "sqs:GetQueueAttributes"),
        On.EVERYTHING,
    ),
    Right("LookAtTopics", ("sns:GetTopicAttributes",), On.EVERYTHING, optional=True),
    Right(
        "LookAtTrails",
        ("cloudtrail:GetTrailStatus", "cloudtrail:GetEventSelectors"),
        On.TRAILS,
    ),
    Right("LookAtRules", ("events:DescribeRule", "events:ListTargetsByRule"), On.RULES),
    Right(
        "PutTrailsBack",
        (
            "cloudtrail:StartLogging",
            "cloudtrail:PutEventSelectors",
            "cloudtrail:UpdateTrail",
            "cloudtrail:CreateTrail",
        ),
        On.TRAILS,
    ),
    Right(
        "PutRulesBack",
        ("events:EnableRule", "events:PutRule", "events:PutTargets", "events:RemoveTargets"),
        On.RULES,
    ),
    Right("PutQueuesBack", ("sqs:SetQueueAttributes",), On.SIGHT_QUEUES),
    Right("PutTopicsBack", ("sns:SetTopicAttributes",), On.SIGHT_TOPICS),
)
"""The responder `restore_sight`. A trail or a target with a role of its own also needs iam:PassRole for that
role: see docs/sight.md."""

# -- where the daemon itself lives

LISTEN: Final = (
    Right(
        "Listen",
        (
            "sqs:ReceiveMessage",
            "sqs:DeleteMessage",
            "sqs:ChangeMessageVisibility",
            "sqs:GetQueueAttributes",
        ),
        On.QUEUES,
    ),
    Right(
        "CountDeadLetters",
        ("sqs:GetQueueUrl", "sqs:GetQueueAttributes"),
        On.DEAD_LETTERS,
        optional=True,
    ),
)
REMEMBER: Final = (
    Right(
        "Remember",
        (
            "dynamodb:ConditionCheckItem",
            "dynamodb:DeleteItem",
            "dynamodb:DescribeTable",
            "dynamodb:DescribeTimeToLive",
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:Query",
            "dynamodb:UpdateItem",
        ),
        On.TABLE,
    ),
)
"""The store `dynamodb`. A transaction needs the rights of what it is made of."""
ENTER: Final = (
    Right("Enter", ("sts:AssumeRole",), On.MEMBER_ROLES),
    # EKS Pod Identity gives a session tags that follow it into every role that it assumes (EKS user
    # guide, "Cross-account tags").
    Right("EnterTagged", ("sts:TagSession",), On.MEMBER_ROLES, optional=True),
)
READ_LOGS: Final = (Right("ReadLogFiles", ("s3:GetObject",), On.LOG_FILES),)
"""Bulk queues, whose messages point at log files."""
VERIFY: Final = (Right("VerifyLogFiles", ("cloudtrail:ListPublicKeys",), On.EVERYTHING),)
ORGANIZATION: Final = (
    Right(
        "FindAccounts",
        (
            "organizations:ListAccountsForParent",
            "organizations:ListOrganizationalUnitsForParent",
        ),
        On.EVERYTHING,
    ),
)
"""In the management account or a delegated administrator's."""
DISCOVER_TOPICS: Final = (
    Right(
        "DiscoverTopics",
        ("sns:GetTopicAttributes", "sns:ListSubscriptionsByTopic"),
        On.EVENT_TOPICS,
        optional=True,
    ),
)
SNS: Final = (Right("Tell", ("sns:Publish",), On.TOLD_BY),)
"""The responder `sns`."""
EVENTBRIDGE: Final = (Right("TellOnBus", ("events:PutEvents",), On.TOLD_ON),)
EMAIL: Final = (Right("TellByEmail", ("ses:SendEmail",), On.SENDER),)
"""The responders of these names."""
SECURITY_HUB: Final = (Right("TellSecurityHub", ("securityhub:BatchImportFindings",), On.PRODUCTS),)
"""The responder `security_hub`: in every guarded account, for only that may import its findings."""

ESCROW: Final = (Right("ReadEscrow", ("secretsmanager:GetSecretValue",), On.SECRETS),)
"""The escrow `secretsmanager`, without a role of its own."""

FUNCTION: Final = (
    Right("WriteLog", ("logs:CreateLogStream", "logs:PutLogEvents"), On.FUNCTION_LOG),
    # Lambda does it with the function's own role (AWS Lambda developer guide, "Dead-letter queues").
    Right("GiveUp", ("sqs:SendMessage",), On.DEAD_LETTERS),
    Right("ReadSettings", ("ssm:GetParameter",), On.PARAMETER),
)
"""The serverless form, besides what it needs as the daemon does. The service's own key for parameters lets in
whoever may read the parameter; a key of yours needs kms:Decrypt."""
APPCONFIG: Final = (
    Right(
        "ReadAppConfig",
        ("appconfig:StartConfigurationSession", "appconfig:GetLatestConfiguration"),
        On.EVERYTHING,
    ),
)
"""For a function whose settings are in AWS AppConfig; the template has none of that."""
CONFIG_RULE: Final = (
    Right("Evaluate", ("config:PutEvaluations", "config:GetResourceConfigHistory"), On.EVERYTHING),
    Right("ReadVerdicts", ("config:GetComplianceDetailsByConfigRule",), On.CONFIG_RULES),
)
"""The rule of AWS Config, where the function is one. Config itself chooses the id in its ARN."""

NEVER: Final = (
    "kms:ScheduleKeyDeletion",
    "kms:DisableKey",
    "kms:DeleteImportedKeyMaterial",
)
"""What the daemon denies itself, whatever other policies say."""

# -- people who redrive dead letters (`kms-monitor dlq`)

REDRIVE_FIND: Final = ("sqs:GetQueueAttributes",)
REDRIVE_LOOK: Final = ("sqs:ReceiveMessage", "sqs:ChangeMessageVisibility")
REDRIVE_TAKE_OUT: Final = (
    "sqs:DeleteMessage",
    "sqs:StartMessageMoveTask",
    "sqs:ListMessageMoveTasks",
    "sqs:CancelMessageMoveTask",
)
REDRIVE_SEND_BACK: Final = ("sqs:SendMessage",)
