"""IAM's SimulatePrincipalPolicy, which moto lacks: judged by the deny rules, as the calls themselves are.

As in AWS it knows nothing of key policies (IAM user guide, "Testing IAM policies with the policy simulator").
"""

from collections.abc import Sequence
from typing import Any

from monitor.simulator.deny import DenyRule
from monitor.simulator.words import Caller, Refusal


def simulate(
    parameters: dict[str, Any], rules: Sequence[DenyRule], *, account: str
) -> dict[str, Any]:
    """The answer's members; one result for each action, for all resources together."""
    arn = str(parameters.get("PolicySourceArn", ""))
    if arn.split(":")[4:5] != [account]:
        raise Refusal("NoSuchEntity", f"The entity of {arn} cannot be found.", status=404)
    caller = whom(arn, account)
    resource = next(iter(parameters.get("ResourceArns") or ["*"]))
    results = []
    for action in parameters.get("ActionNames") or ():
        service, _, name = action.partition(":")
        denied = any(rule.denies(caller, service, name) for rule in rules)
        results.append(
            {
                "EvalActionName": action,
                "EvalResourceName": resource,
                "EvalDecision": "explicitDeny" if denied else "allowed",
            }
        )
    return {"EvaluationResults": results, "IsTruncated": "false"}


def whom(arn: str, account: str) -> Caller:
    """The caller that a user's or a role's own ARN means."""
    kind, _, name = arn.split(":", 5)[5].partition("/")
    if kind == "user":
        return Caller(account=account, arn=arn, user=name)
    return Caller(account=account, arn=arn, role_arn=arn)
