"""What detectors have in common that look after things around the keys: ours, and other accounts'."""

from collections.abc import Iterable
from typing import TypeVar

from pydantic import BaseModel

from monitor.detector import Base, is_denied
from monitor.event import Event
from monitor.finding import Finding
from monitor.parameters import key_owner

OptionsT = TypeVar("OptionsT", bound=BaseModel)


class Watching(Base[OptionsT]):
    """A convenience like `Base`, for APIs that are busy with things that are not ours."""

    def mine(self, kind: str, arns: Iterable[str]) -> str:
        """The first of `arns` that is ours; "" where none is, or nothing of the kind is known."""
        watched = self.knowledge.watched
        return next((arn for arn in arns if arn and watched.ours(kind, arn)), "")

    def attempt_on(self, event: Event, kind: str, arns: Iterable[str]) -> list[Finding]:
        """A call that failed: worth telling if it was about ours, or if it does not say about what.

        A denied call often names nothing at all (aws-facts 2.4). While nothing of the kind is known
        to us it is none of our business.
        """
        named = [arn for arn in arns if arn]
        mine = self.mine(kind, named)
        untold = not named and is_denied(event.error_code) and getattr(self.knowledge.watched, kind)
        if not (mine or untold):
            return []
        return [self.attempt(event, event.event_name, resource=mine)]

    def foreign(self, event: Event, key: str) -> str:
        """The account that a key belongs to, if that is neither the caller's nor one of ours.

        A key without an ARN (an id, an alias's name) is one of the account where it was given.
        """
        owner = key_owner(key)
        home = self.knowledge.accounts | {event.recipient_account_id}
        return "" if owner in home else owner
