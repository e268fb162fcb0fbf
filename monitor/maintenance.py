"""Maintenance windows: when changes of certain actors to certain keys are meant. Pure.

A window begins whenever its cron expression says so, in its time zone, and is open for so many
minutes of real time, also in a night in which clocks are changed. Whether it is open is judged by the
event's own time, however late the message comes. What is not known of a key keeps it shut.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, Field, field_validator

from monitor.approval import matches
from monitor.finding import Finding
from monitor.key import KeyRef
from monitor.key_patterns import TagPatterns
from monitor.setting_types import AccountId, Model, Name, Pattern
from monitor.tiers import Tier, meets

MARGIN = timedelta(hours=3)
"""More than any clock is ever put forward or back: near such a change a start is looked for so much
later, for there are two local times of one name."""
LONGEST_MINUTES = 7 * 1440
SOME_TIME = datetime(2024, 1, 1, tzinfo=UTC)
"""From which a year of every kind follows soon: an expression without a start from here has none."""


def is_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # unknown names are KeyErrors
        raise ValueError("must be a time zone's name, such as Europe/Berlin or UTC") from error
    return name


def has_starts(cron: str) -> str:
    if len(cron.split()) != 5:
        raise ValueError("must have five fields: minute, hour, day, month, day of the week")
    try:
        next(CronSim(cron, SOME_TIME))
    except CronSimError as error:
        raise ValueError(f"is no cron expression: {error}") from error
    except StopIteration as error:
        raise ValueError("never comes: there is no such day") from error
    return cron


Cron = Annotated[str, Field(max_length=200), AfterValidator(has_starts)]
Zone = Annotated[str, Field(max_length=60), AfterValidator(is_zone)]


class Maintenance(Model):
    """When damage by certain actors counts as approved. Within one criterion any entry is enough."""

    name: Name = Field(description="Shown wherever the window decided, and in metrics.")
    cron: Cron = Field(
        description="When it begins: minute, hour, day, month, day of the week, as Debian's cron "
        "reads them."
    )
    time_zone: Zone = Field(description="Such as Europe/Berlin or UTC. No default.")
    minutes: int = Field(ge=1, le=LONGEST_MINUTES, description="How long it is open.")
    actors: list[Pattern] = Field(
        min_length=1,
        description="Patterns over the ARN of an IAM user or role, as in approved_actors.",
    )
    keys: list[Pattern] = Field(
        default_factory=list,
        description="Patterns over a key's id, its ARN, or an alias (alias/NAME) that it should "
        "have.",
    )
    tags: TagPatterns = Field(
        default_factory=dict,
        description="Patterns of values by the tag's name. They all have to match.",
    )
    tiers: list[Name] = Field(default_factory=list, description="Names out of `tiers`.")
    accounts: list[AccountId] = Field(
        default_factory=list, description="Accounts whose keys it is about."
    )

    @field_validator("actors")
    @classmethod
    def actors_are_named(cls, actors: list[str]) -> list[str]:
        if any(not pattern.strip("*?") for pattern in actors):
            raise ValueError("must say more than *: an attacker keeps no office hours")
        return actors

    def covers(self, finding: Finding, tiers: Mapping[str, Tier]) -> bool:
        """Whether the change is one that it is open for."""
        key = finding.key
        return (
            key is not None
            and any(matches(finding.actor, pattern) for pattern in self.actors)
            and self.is_about(key, finding.known_aliases, finding.known_tags, tiers) is True
            and self.open_at(finding.event_time)
        )

    def is_about(
        self,
        key: KeyRef,
        aliases: Iterable[str] | None,
        tags: Mapping[str, str] | None,
        tiers: Mapping[str, Tier],
    ) -> bool | None:
        """Whether the key is one that it is about; None where that cannot be told."""
        if self.accounts and key.account not in self.accounts:
            return False
        return meets(self, key, aliases, tags, tiers)

    def open_at(self, moment: float, *, before: float = 0.0) -> bool:
        """Whether it is open then (epoch seconds), or was at any time in so many seconds before."""
        try:
            at = datetime.fromtimestamp(moment, UTC)
            length = timedelta(minutes=self.minutes, seconds=before)
            for start in CronSim(self.cron, self.local(at + MARGIN), reverse=True):
                if start <= at:
                    # All windows are equally long: the last to begin is the last to end.
                    return at < start.astimezone(UTC) + length
        except (ValueError, OverflowError, OSError):
            pass  # a time that no calendar has
        return False

    def next_start(self, after: float) -> datetime | None:
        """When it begins next (after epoch seconds), in its own time zone; None: never again."""
        moment = self.local(datetime.fromtimestamp(after, UTC))
        return next(CronSim(self.cron, moment), None)

    def local(self, moment: datetime) -> datetime:
        return moment.astimezone(ZoneInfo(self.time_zone))
