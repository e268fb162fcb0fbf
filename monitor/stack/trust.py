"""The role that the daemon runs as, and who may be it. Pure.

IRSA and Pod Identity: EKS user guide, "IAM roles for service accounts" and "Create IAM role with trust
policy required by EKS Pod Identity", with the session tags that Pod Identity adds.
"""

import json

from monitor.rights.policies import document
from monitor.stack.words import (
    Value,
    attribute,
    both,
    choice,
    condition,
    different,
    equal,
    parameter,
    ref,
    resource,
    text,
    when,
)

SERVICES = {"ec2": "ec2", "ecs": "ecs-tasks"}
"""Where a service itself hands the role to the daemon: its principal."""

PARAMETERS = {
    "RunsOn": choice(
        "Where the daemon runs: eks-pod-identity, eks-irsa, ec2 (with an instance profile), ecs.",
        ("eks-pod-identity", "eks-irsa", *SERVICES),
        "eks-pod-identity",
    ),
    "Cluster": parameter(
        "For eks-pod-identity: the EKS cluster. Empty: any of this account, and the association is "
        "left to you.",
        "",
        AllowedPattern="([0-9A-Za-z][A-Za-z0-9_-]{0,99})?",
    ),
    "OidcProvider": parameter(
        "For eks-irsa: the cluster's issuer without https://, such as "
        "oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLE.",
        "",
        AllowedPattern="([A-Za-z0-9.-]+/[A-Za-z0-9./_-]+)?",
    ),
    "Namespace": parameter(
        "The daemon's namespace in the cluster.", "kms-monitor", AllowedPattern="[a-z0-9-]{1,63}"
    ),
    "ServiceAccount": parameter(
        "Its service account there.", "kms-monitor", AllowedPattern="[a-z0-9.-]{1,253}"
    ),
}
CONDITIONS = {
    "Irsa": equal(ref("RunsOn"), "eks-irsa"),
    "PodIdentity": equal(ref("RunsOn"), "eks-pod-identity"),
    "HasCluster": different(ref("Cluster"), ""),
    "Associated": both(condition("PodIdentity"), condition("HasCluster")),
    "Instance": equal(ref("RunsOn"), "ec2"),
}


def role(policies: list[Value]) -> Value:
    return {
        "Role": resource(
            "IAM::Role",
            {
                "RoleName": ref("Name"),
                "Description": "The daemon kms-monitor",
                "AssumeRolePolicyDocument": when(
                    "Irsa", irsa(), when("PodIdentity", pod_identity(), by_service())
                ),
                "Policies": policies,
            },
        ),
        "PodIdentityAssociation": resource(
            "EKS::PodIdentityAssociation",
            {
                "ClusterName": ref("Cluster"),
                "Namespace": ref("Namespace"),
                "ServiceAccount": ref("ServiceAccount"),
                "RoleArn": attribute("Role"),
            },
            Condition="Associated",
        ),
        "InstanceProfile": resource(
            "IAM::InstanceProfile",
            {"InstanceProfileName": ref("Name"), "Roles": [ref("Role")]},
            Condition="Instance",
        ),
    }


def irsa() -> Value:
    """One service account of one cluster. As text, for a map's key cannot have a parameter in it."""
    provider = "arn:${AWS::Partition}:iam::${AWS::AccountId}:oidc-provider/${OidcProvider}"
    statement = {
        "Sid": "ServiceAccount",
        "Effect": "Allow",
        "Principal": {"Federated": provider},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {
            "StringEquals": {
                "${OidcProvider}:aud": "sts.${AWS::URLSuffix}",
                "${OidcProvider}:sub": "system:serviceaccount:${Namespace}:${ServiceAccount}",
            }
        },
    }
    return text(json.dumps(document([statement])))


def pod_identity() -> Value:
    tags = {
        "aws:RequestTag/kubernetes-namespace": ref("Namespace"),
        "aws:RequestTag/kubernetes-service-account": ref("ServiceAccount"),
        "aws:RequestTag/eks-cluster-name": when("HasCluster", ref("Cluster")),
    }
    return document(
        [
            {
                "Sid": "ServiceAccount",
                "Effect": "Allow",
                "Principal": {"Service": "pods.eks.amazonaws.com"},
                "Action": ["sts:AssumeRole", "sts:TagSession"],
                "Condition": {"StringEquals": tags},
            }
        ]
    )


def by_service() -> Value:
    service = when(
        "Instance", f"{SERVICES['ec2']}.amazonaws.com", f"{SERVICES['ecs']}.amazonaws.com"
    )
    return document(
        [
            {
                "Sid": "Machine",
                "Effect": "Allow",
                "Principal": {"Service": service},
                "Action": "sts:AssumeRole",
            }
        ]
    )
