"""The policies of `monitor.rights`, with a template's words instead of ids and names. Pure.

What is allowed in mode `observe` is one policy, what `enforce` needs besides is another, so that the
template's parameter Mode decides.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from monitor.errors import SettingsError
from monitor.policy import Mode
from monitor.rights import policies
from monitor.rights.enabled import MANY_REGIONS, Needs
from monitor.settings_accounts import Account
from monitor.settings_store import StoreSettings
from monitor.stack.words import GUARDED_REGIONS, Value, attribute, ref, text, when

CANARY = "12345678-0000-4000-8000-123456789012"
"""Stands for the canary's key while the policies are made."""
REGIONS_KEY = "aws:RequestedRegion"


class Model(msgspec.Struct, frozen=True):
    """The settings as the stack sees them: one home account, a table, perhaps a canary of its own."""

    needs: Needs
    names: Mapping[str, Value]
    """What exact texts in policies, such as the queue's ARN, are in the template."""
    account: str
    conditional: Mapping[str, str] = {}
    """Statements about what the stack makes only if it is asked to, by name, with its condition."""

    def written(self, value: Any) -> Value:
        """A policy, or a part of one, in the template's words."""
        if isinstance(value, dict):
            return {
                name: GUARDED_REGIONS if name == REGIONS_KEY else self.written(one)
                for name, one in value.items()
            }
        if isinstance(value, list):
            return [self.written(one) for one in value]
        if not isinstance(value, str):
            return value
        if value in self.names:
            return self.names[value]
        start = f"arn:{self.needs.partition}:"
        kept = value.replace("${", "${!")
        generic = re.sub(f"^{start}", "arn:${AWS::Partition}:", kept)
        generic = generic.replace(self.account, "${AWS::AccountId}")
        return text(generic) if generic != kept else value

    def statements(self, made: list[dict[str, Any]]) -> list[Value]:
        """Those about what the stack makes only if it is asked to depend on that."""
        return [
            when(self.conditional[one["Sid"]], self.written(one))
            if one["Sid"] in self.conditional
            else self.written(one)
            for one in made
        ]


def home_model(needs: Needs) -> Model:
    """What the daemon needs where it lives. The accounts that it enters are parameters."""
    settings = needs.settings
    queue, account, partition = settings.queues[0], needs.home, needs.partition
    others = settings.canary.keys
    canary = f"arn:{partition}:kms:{queue.region}:{account}:key/{CANARY}"
    store = StoreSettings(kind="dynamodb", table="kms-monitor", region=queue.region)
    changed = settings.model_copy(
        update={
            "accounts": [everywhere(account, queue.region)],
            "organizations": [],
            "store": store,
            "canary": settings.canary.model_copy(update={"keys": [*others, canary]}),
        }
    )
    daemon = f"arn:{partition}:iam::{account}:role/kms-monitor"
    table = f"arn:{partition}:dynamodb:{queue.region}:{account}:table/kms-monitor"
    names = {
        queue.arn: attribute("Queue"),
        f"{queue.arn}-dlq": attribute("DeadLetters"),
        daemon: text("arn:${AWS::Partition}:iam::${AWS::AccountId}:role/${Name}"),
        canary: when("HasCanary", attribute("CanaryKey")) if others else attribute("CanaryKey"),
        table: attribute("Table"),
        f"{table}/index/changes": text("${Table.Arn}/index/changes"),
    }
    recipe = needs.loaded.responders.get("sns")
    if recipe is not None:
        names[str(getattr(recipe.options, "topic_arn", ""))] = ref("Topic")
    conditional = {"Remember": "UsesTable"}
    if not others:
        conditional["Canary"] = "HasCanary"
    return Model(Needs(changed, needs.loaded, daemon), names, account, conditional)


def function_model(needs: Needs) -> Model:
    """The same for a function, which always has a table and never a canary: nobody waits for one."""
    model = home_model(needs)
    settings = model.needs.settings
    without = settings.model_copy(
        update={"canary": settings.canary.model_copy(update={"keys": []})}
    )
    return Model(Needs(without, needs.loaded, model.needs.daemon), model.names, model.account)


def name_of(needs: Needs) -> str:
    """What the roles in other accounts are called, for all that a stack makes is called so.

    Raises `SettingsError` if they have several names, or paths.
    """
    roles = {(one.role_arn or "").partition(":role/")[2] for one in needs.members}
    if len(roles) > 1 or any("/" in one for one in roles):
        names = ", ".join(sorted(roles))
        raise SettingsError([f"a stack's roles have one name and no path, not these: {names}"])
    return roles.pop() if roles else "kms-monitor"


MEMBER = "000000000000"
"""Stands for the account that the template is deployed in."""


def member_model(needs: Needs) -> Model:
    """What the daemon needs in an account that it enters through a role."""
    region, partition = needs.settings.home_region, needs.partition
    role = f"arn:{partition}:iam::{MEMBER}:role/kms-monitor"
    account = everywhere(MEMBER, region, role_arn=role, external_id="external-id")
    changed = needs.settings.model_copy(update={"accounts": [account], "organizations": []})
    daemon = f"arn:{partition}:iam::{needs.home}:role/kms-monitor"
    names = {
        role: text("arn:${AWS::Partition}:iam::${AWS::AccountId}:role/${Name}"),
        daemon: text("arn:${AWS::Partition}:iam::${Home}:role/${Name}"),
        f"arn:{partition}:iam::{needs.home}:root": text("arn:${AWS::Partition}:iam::${Home}:root"),
        "external-id": ref("ExternalId"),
    }
    return Model(Needs(changed, needs.loaded, daemon), names, MEMBER)


def everywhere(account: str, region: str, **more: str) -> Account:
    """An account with so many Regions that its policies name them in a condition, once."""
    return Account.model_construct(
        id=account,
        regions=[region] * (MANY_REGIONS + 1),
        role_arn=more.get("role_arn"),
        external_id=more.get("external_id"),
    )


Statements = list[dict[str, Any]]


def asking(needs: Needs) -> Statements:
    """What the daemon needs to ask AWS Organizations, with its own credentials or through roles."""
    paths = needs.settings.organizations
    found = []
    if roles := sorted({one.list_role_arn for one in paths if one.list_role_arn}):
        found.append(
            {"Sid": "Asks", "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": roles}
        )
    if any(one.list_role_arn is None for one in paths):
        found += policies.organization_policy()["Statement"]
    return found


def role_policies(model: Model, statements: Callable[[Needs], Statements]) -> list[Value]:
    """`Look`, and `Repair` where the mode is enforce. `statements`: makes them from needs."""
    looking, all_of_them = (statements(in_mode(model.needs, mode)) for mode in Mode)
    repairing = [one for one in all_of_them if one not in looking]
    found = [policy("Look", model.statements(looking))]
    if repairing:
        found.append(when("Enforces", policy("Repair", model.statements(repairing))))
    return found


def policy(name: str, statements: list[Value]) -> Value:
    return {"PolicyName": name, "PolicyDocument": policies.document(statements)}


def in_mode(needs: Needs, mode: Mode) -> Needs:
    """The same needs, as if the whole ran in that mode; rules for single detectors included."""
    settings = needs.settings.model_copy(update={"mode": mode})
    modes = {} if mode is Mode.OBSERVE else needs.loaded.modes
    return Needs(settings, dataclasses.replace(needs.loaded, modes=modes), needs.daemon)
