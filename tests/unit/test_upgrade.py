"""docs/upgrade.md is true of SQLite: the copy that it tells to make is whole, and newer files are not opened.

Its other commands belong to helm and CloudFormation; tests/unit/test_page_commands.py knows their options.
"""

import asyncio
import re
import shlex
import sys
from pathlib import Path

import pytest

from monitor.ledger import StoreError
from monitor.stores.sqlite import SqliteStore
from monitor.testing import HandClock
from tests.pages import DOCS

PAGE = (DOCS / "upgrade.md").read_text(encoding="utf-8")


def copying() -> str:
    """The program in the command that makes a copy."""
    found = re.search(r"python -c \\\n +(.*)", PAGE)
    assert found is not None
    (program,) = shlex.split(found[1])
    return program


async def test_a_copy_is_made_while_the_store_is_in_use(tmp_path: Path) -> None:
    program = copying().replace("/var/lib/kms-monitor", str(tmp_path))
    store = await SqliteStore.open(tmp_path / "state.db", HandClock())
    assert await store.spend("a budget", "a use", most=1, seconds=60)
    copied = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
    assert await copied.wait() == 0
    await store.close()
    copy = await SqliteStore.open(tmp_path / "before.db", HandClock())
    assert await copy.spent("a budget", seconds=60) == 1
    await copy.close()


async def test_what_a_newer_version_changed_is_refused_in_these_words(tmp_path: Path) -> None:
    (words,) = re.findall(r"says `(it was written[^`]*)`", PAGE)
    store = await SqliteStore.open(tmp_path / "state.db", HandClock())
    await store.database.execute("PRAGMA user_version = 999")
    await store.close()
    with pytest.raises(StoreError, match=words):
        await SqliteStore.open(tmp_path / "state.db", HandClock())
