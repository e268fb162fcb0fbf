"""Who is believed: the sender of a message, and the topic that it came through."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from monitor.delivery import Delivery
from monitor.errors import Unreadable
from monitor.shapes import SnsWrapping

if TYPE_CHECKING:
    from monitor.sns_trust import SnsTrust


class Trust:
    """`senders`: by source, patterns of the SenderIds that are believed; none: everybody's.

    Without `sns` nothing that SNS wrapped is believed.
    """

    def __init__(
        self,
        senders: Mapping[str, tuple[str, ...]] | None = None,
        sns: "SnsTrust | None" = None,
    ) -> None:
        self.senders = senders or {}
        self.sns = sns

    def check_sender(self, delivery: Delivery) -> None:
        """Raise `Unreadable` for a message by somebody whom the settings do not name."""
        believed = self.senders.get(delivery.source)
        if believed and not any(fnmatchcase(delivery.sender_id, one) for one in believed):
            raise Unreadable("sender_not_allowed", f"SenderId {delivery.sender_id}")

    async def check_wrapping(self, wrapped: tuple[SnsWrapping, ...]) -> None:
        """Raise `Unreadable`, or `WorthRetrying` if it cannot be said just now."""
        if self.sns is None:
            raise Unreadable(
                "topic_not_allowed",
                "wrapped by a topic, and `sns_topics` in the settings names none; if you send "
                "through one, add it there",
            )
        await self.sns.check(wrapped)
