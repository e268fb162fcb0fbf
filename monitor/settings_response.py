"""The settings about what is done, to which keys, and about whose changes. See `monitor.settings`.

All of them can be changed while the daemon runs: see `monitor.reload`.
"""

from pathlib import Path

from pydantic import Field

from monitor.approval import NeverApprove
from monitor.maintenance import Maintenance
from monitor.response_rules import ResponseRule
from monitor.setting_types import Model, Name
from monitor.suppression import Suppression
from monitor.tiers import Tier, never_approved


class ResponseSettings(Model):
    approved_actors: list[str] = Field(
        [],
        description="Whose changes are right: patterns over the ARN of an IAM user or role. Each "
        "change is looked up in CloudTrail's event history before it is believed.",
    )
    never_approve: NeverApprove = NeverApprove()
    tiers: list[Tier] = Field(
        default_factory=list,
        description="Classes of keys by name, for `response` and `maintenance`.",
    )
    response: list[ResponseRule] = Field(
        default_factory=list,
        description="Rules for who responds to what, and how. The first that matches decides; what "
        "it does not say is as it is without rules.",
    )
    maintenance: list[Maintenance] = Field(
        default_factory=list,
        description="Windows in which changes by certain actors count as approved, once CloudTrail's "
        "event history confirms them. Never for keys of `never_approve`.",
    )
    kill_switch: bool = Field(
        default=False, description="true: nothing is written to any account, whatever else is said."
    )
    kill_switch_file: Path | None = Field(
        None,
        description="A file that, while it is there, does the same at once. Guard its folder as you "
        "guard the settings.",
    )
    fallbacks: dict[Name, Name] = Field(
        default_factory=dict,
        description="Who tells instead, by the responder that could not: both named under "
        "`responders`, and neither repairs.",
    )
    suppressions: list[Suppression] = Field(
        default_factory=list,
        description="Findings that nobody is to be told of. What they silence is still counted, "
        "logged and repaired.",
    )

    @property
    def never_approved(self) -> NeverApprove:
        """`never_approve`, with the keys of such tiers."""
        return never_approved(self.never_approve, self.tiers)

    @property
    def tiers_by_name(self) -> dict[str, Tier]:
        return {tier.name: tier for tier in self.tiers}
