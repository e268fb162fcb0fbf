"""The page of what others detect: fresh, complete, and pointing at what is there."""

import pytest

from monitor import plugins
from tests import peers

ROWS = peers.rows()


def test_the_page_is_fresh() -> None:
    """If not: make reference."""
    assert (peers.ROOT / "docs" / "peers.md").read_text(encoding="utf-8") == peers.page()


def test_every_row_of_the_survey_is_answered_and_no_other() -> None:
    assert {f"{row['table']} {row['feature']}" for row in ROWS} == peers.HERE.keys()
    assert len(ROWS) == 73


def test_every_system_of_the_survey_has_a_name_and_its_numbers() -> None:
    assert set(ROWS[0]) - {"table", "feature"} == peers.SYSTEMS.keys()
    first, *others = [one for one in peers.summary(ROWS) if one.startswith("| ")][1:]
    assert first.startswith("| **kms-monitor** |")
    assert len(others) == len(peers.SYSTEMS)
    assert "| PA Panther | " in "\n".join(others)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["feature"][:60])
def test_what_a_row_points_at_is_there(row: dict[str, str]) -> None:
    found = peers.pointers(row)
    assert found
    for pointer in found:
        place, _, inside = pointer.partition(":")
        for target in peers.targets(pointer):
            assert target.exists(), target
        if "/" in place and inside:
            assert inside.strip() in (peers.ROOT / place).read_text(encoding="utf-8")
        elif "/" not in place and place != "PART":
            assert place in plugins.built_in()


def test_every_detector_is_shown_by_some_row() -> None:
    """One that no other system has a row for is our own idea: named here on purpose."""
    shown = {one.partition(":")[0] for found in peers.HERE.values() for one in found}
    assert set(plugins.built_in()) - shown == {
        "config_compliance",
        "config_item",
        "event_bus_changed",
        "event_data_store_stopped",
        "log_bucket_changed",
        "log_file_tampered",
        "log_group_changed",
        "resource_share_changed",
        "sight_changed",
        "sight_drifted",
    }
