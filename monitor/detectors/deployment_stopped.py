"""Somebody stopped, deleted or replaced what the daemon runs in, or its table.

Which stacks, functions, services, clusters and instances those are the settings say. The names that
Lambda's calls have in CloudTrail carry the date of an API version (AWS Lambda developer guide,
"Logging AWS Lambda API calls using AWS CloudTrail"). EC2 and ECS: their API references.
"""

from collections.abc import Callable, Iterable
from typing import ClassVar

from monitor.arns import arn_of
from monitor.detector import About, Call, NoOptions
from monitor.event import Event
from monitor.finding import Finding, Kind, Severity
from monitor.parameters import member, named_resource, number, several, short, switched_off, text
from monitor.whose import OnOurs

CLOUDFORMATION = "cloudformation.amazonaws.com"
DYNAMODB = "dynamodb.amazonaws.com"
EC2 = "ec2.amazonaws.com"
ECS = "ecs.amazonaws.com"
EKS = "eks.amazonaws.com"
LAMBDA = "lambda.amazonaws.com"


def dated(*names: str) -> frozenset[str]:
    """Lambda's names with their dates, and without, should AWS ever drop them."""
    return frozenset(names) | {name.partition("20")[0] for name in names}


GONE: dict[Call, str] = {
    (CLOUDFORMATION, "DeleteStack"): "was deleted",
    (DYNAMODB, "DeleteTable"): "was deleted",
    (EC2, "StopInstances"): "was stopped",
    (EC2, "TerminateInstances"): "was terminated",
    (ECS, "DeleteCluster"): "was deleted",
    (ECS, "DeleteService"): "was deleted",
    (EKS, "DeleteCluster"): "was deleted",
    **{(LAMBDA, one): "was deleted" for one in dated("DeleteFunction20150331")},
    **{(LAMBDA, one): "no longer gets events" for one in dated("DeleteEventSourceMapping20150331")},
}
"""After any of these the daemon does not run, or not for long."""
CHANGED: dict[Call, tuple[Severity, str]] = {
    (CLOUDFORMATION, "ExecuteChangeSet"): (Severity.MEDIUM, "is being changed"),
    (CLOUDFORMATION, "UpdateStack"): (Severity.MEDIUM, "is being changed"),
    (ECS, "StopTask"): (Severity.MEDIUM, "had a task stopped"),
    (EKS, "DeleteNodegroup"): (Severity.HIGH, "lost a node group"),
    (EKS, "DeleteFargateProfile"): (Severity.HIGH, "lost a Fargate profile"),
    (EKS, "DeletePodIdentityAssociation"): (Severity.HIGH, "no longer gives a pod its role"),
    **{
        (LAMBDA, one): (Severity.HIGH, "got other settings")
        for one in dated("UpdateFunctionConfiguration20150331v2")
    },
    **{
        (LAMBDA, one): (Severity.HIGH, "got other code")
        for one in dated("UpdateFunctionCode20150331v2")
    },
    # Events of a rule that may not call it any more are lost, or wait as dead letters.
    **{
        (LAMBDA, one): (Severity.HIGH, "may be called by fewer")
        for one in dated("RemovePermission20150331", "RemovePermission20150331v2")
    },
}
SCALED = dated("PutFunctionConcurrency20171031")
MAPPED = dated("UpdateEventSourceMapping20150331", "DeleteEventSourceMapping20150331")
DELETES_FUNCTION = dated("DeleteFunction20150331")

NOTHING: tuple[Severity | None, str] = (None, "")


class DeploymentStopped(OnOurs[NoOptions]):
    name: ClassVar = "deployment_stopped"
    title: ClassVar = "The daemon's deployment stopped or changed"
    about: ClassVar = About(
        description="Somebody stopped, deleted or replaced what the daemon runs in (a stack, a "
        "function, a service, a cluster, an instance), or the table that it remembers by. Nobody "
        "repairs keys while it is down.",
        severity="critical where it does not run any more or its table is gone; high where its "
        "code, settings, role or nodes changed or its table lost its protection; medium for a "
        "stack that is updated and a task that is stopped; silent for what is not ours",
        techniques=("T1489", "T1562.001", "T1485"),
        false_positives=("The daemon is rolled out anew, or moved elsewhere.",),
        advice=(
            "Find out whether whoever did it was meant to.",
            "Deploy the daemon again, and run kms-monitor sweep: keys may have changed meanwhile.",
        ),
        references=(
            "https://docs.aws.amazon.com/lambda/latest/dg/logging-using-cloudtrail.html",
            "https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateService.html",
            "https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DeleteStack.html",
            "https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTable.html",
        ),
    )
    events: ClassVar = frozenset(
        {
            *GONE,
            *CHANGED,
            (DYNAMODB, "UpdateTable"),
            (ECS, "UpdateService"),
            *((LAMBDA, one) for one in SCALED | MAPPED),
        }
    )

    def inspect(self, event: Event) -> Iterable[Finding]:
        kind = "tables" if event.event_source == DYNAMODB else "deployments"
        named = NAMERS[event.event_source](event)
        if event.failed and not any(named):
            named = [named_resource(event.error_message)]
        mine = self.own(kind, named)
        if not mine and event.event_name in MAPPED:
            mine = self.mine("queues", [text(event.response(), "eventSourceArn")])
        if event.failed:
            return self.attempt_on(event, kind, [mine] if mine else named)
        severity, what = judge(event)
        if not mine or severity is None:
            return []
        return [
            self.finding(event, f"{noun(mine)} {what}", severity, kind=Kind.NOTICE, resource=mine)
        ]

    def own(self, kind: str, named: list[str]) -> str:
        """The ARN of what is ours among these. A stack's ARN ends in an id that calls often omit."""
        watched = self.knowledge.watched.deployments
        stacks = [one for one in named if ":stack/" in one]
        return self.mine(kind, named) or next(
            (arn for one in stacks for arn in sorted(watched) if arn.startswith(f"{one}/")), ""
        )


def judge(event: Event) -> tuple[Severity | None, str]:
    """How severe a call is if it is about something of ours; None where it does not matter."""
    call = (event.event_source, event.event_name)
    request = event.request()
    if event.event_name in DELETES_FUNCTION and text(request, "qualifier"):
        return Severity.MEDIUM, "lost a version"
    if call in GONE:
        return Severity.CRITICAL, GONE[call]
    if call in CHANGED:
        return CHANGED[call]
    match event.event_name:
        case "UpdateService":
            if number(member(request, "desiredCount")) == 0:
                return Severity.CRITICAL, "was scaled to nothing"
            other = text(request, "taskDefinition")
            return (Severity.HIGH, "runs another task definition") if other else NOTHING
        case "UpdateTable":
            if switched_off(member(request, "deletionProtectionEnabled")):
                return Severity.HIGH, "is no longer protected against deletion"
            other = member(request, "sSESpecification")
            return (Severity.MEDIUM, "is encrypted in another way") if other else NOTHING
        case name if name in MAPPED:
            off = switched_off(member(request, "enabled"))
            return (Severity.CRITICAL, "no longer gets events") if off else NOTHING
        case _:
            if number(member(request, "reservedConcurrentExecutions")) == 0:
                return Severity.CRITICAL, "may not run any more"
            return Severity.LOW, "may run more or less often at once"


def stack(event: Event) -> list[str]:
    """By name, or by an ARN that ends in an id."""
    arn = arn_of(event, "cloudformation", text(event.request(), "stackName"), kind="stack/")
    return [arn, "/".join(arn.split("/")[:2])]


def function(event: Event) -> list[str]:
    """By name, by ARN, or by a part of it (`ACCOUNT:function:NAME`), each with a version or not."""
    named = text(event.request(), "functionName") or text(event.response(), "functionArn")
    name = named.partition("function:")[2] if "function:" in named else named
    return [arn_of(event, "lambda", name.partition(":")[0], kind="function:")]


def table(event: Event) -> list[str]:
    return [arn_of(event, "dynamodb", text(event.request(), "tableName"), kind="table/")]


def instances(event: Event) -> list[str]:
    asked = several(member(event.request(), "instancesSet"))
    return [arn_of(event, "ec2", text(one, "instanceId"), kind="instance/") for one in asked]


def cluster(event: Event) -> list[str]:
    name = text(event.request(), "clusterName", "name")
    return [arn_of(event, "eks", name, kind="cluster/")]


def service(event: Event) -> list[str]:
    """A service, in the two forms that its ARN has had, or a cluster if that is what is deleted."""
    request, response = event.request(), event.response()
    task = member(response, "task")
    place = text(request, "cluster") or text(task, "clusterArn")
    home = arn_of(event, "ecs", place or "default", kind="cluster/")
    if event.event_name == "DeleteCluster":
        return [home]
    group = text(task, "group")
    name = text(request, "service") or (group[8:] if group.startswith("service:") else "")
    bare = name.rpartition("/")[2]
    where = home.rpartition("/")[2]
    return [
        text(member(response, "service"), "serviceArn"),
        arn_of(event, "ecs", bare and f"service/{where}/{bare}"),
        arn_of(event, "ecs", bare and f"service/{bare}"),
    ]


NAMERS: dict[str, Callable[[Event], list[str]]] = {
    CLOUDFORMATION: stack,
    DYNAMODB: table,
    EC2: instances,
    ECS: service,
    EKS: cluster,
    LAMBDA: function,
}
"""By service: the ARNs of what a call is about, as far as the record tells."""


def noun(arn: str) -> str:
    """What people call it: `The daemon's table kms-monitor`. Only for ARNs that are ours."""
    resource = arn.split(":", 5)[-1].replace(":", "/")
    kind, _, name = resource.partition("/")
    return f"The daemon's {kind} {short(name or kind)}"
