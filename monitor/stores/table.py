"""What the parts of a store in SQL rest on."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any


class Table(ABC):
    """A part of the store that is about one kind of record."""

    @abstractmethod
    async def rows(self, query: str, values: dict[str, Any]) -> list[Any]:
        """What a query finds. Raises `StoreError`."""

    @abstractmethod
    async def write(self, query: str, values: dict[str, Any]) -> int:
        """How many rows a statement changed. Raises `StoreError`."""

    @abstractmethod
    async def write_all(self, query: str, values: Sequence[dict[str, Any]]) -> None:
        """Run a statement once for each of these. Raises `StoreError`."""

    @abstractmethod
    async def write_synced(self, query: str, values: dict[str, Any]) -> int:
        """The same; when it returns, the change outlives a power cut."""

    @abstractmethod
    def now(self) -> float:
        """Epoch seconds."""
