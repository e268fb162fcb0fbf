"""The kill switch, and the door that it shuts.

In scope: `monitor.kill_switch`, and `monitor.aws` as far as it asks it.
"""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from monitor.aws import Aws
from monitor.errors import WorthRetrying
from monitor.kill_switch import KillSwitch
from monitor.metrics import Metrics


def test_it_is_off_unless_somebody_turns_it_on() -> None:
    assert KillSwitch().may_write() is None
    assert KillSwitch(on=True).may_write() == "the kill switch of the settings is on"


def test_a_file_turns_it_on_as_long_as_it_is_there(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "stop"
    switch = KillSwitch(file=file)
    assert switch.may_write() is None  # not even its folder is there
    file.parent.mkdir()
    assert switch.may_write() is None
    file.touch()
    assert switch.may_write() == f"the kill switch is on: {file} is there"
    file.unlink()
    file.symlink_to("nowhere")
    assert switch.may_write() is not None
    file.unlink()
    file.mkdir()
    assert switch.may_write() is not None
    file.rmdir()
    assert switch.may_write() is None


def test_what_cannot_be_looked_for_stops_nothing_and_is_said_once(tmp_path: Path) -> None:
    """A broken mount must not leave every key unrepaired."""
    switch = KillSwitch(file=tmp_path / ("x" * 5000))
    with capture_logs() as lines:
        assert [switch.may_write() for _ in range(3)] == [None] * 3
    assert [line["log_level"] for line in lines] == ["error"]


async def test_while_it_is_on_no_writing_call_goes_through_the_door_of_repairers() -> None:
    switch = KillSwitch(on=True)
    aws = Aws(Metrics())
    door = aws.guarded(switch.may_write)
    for call in ("CancelKeyDeletion", "EnableKey", "PutKeyPolicy", "StartLogging", "Anything"):
        with pytest.raises(WorthRetrying, match=f"kms:{call}: not sent: the kill switch"):
            async with door.calling("kms", call):
                pytest.fail("it was sent")
    for call in ("DescribeKey", "ListGrants", "GetKeyPolicy", "LookupEvents"):
        async with door.calling("kms", call):
            pass
    # Who tells and who looks has another door.
    async with aws.calling("sns", "Publish"):
        pass
    switch.on = False
    async with door.calling("kms", "EnableKey"):
        pass


async def test_both_doors_share_their_clients() -> None:
    async with Aws(Metrics(), home_region="eu-west-1") as aws:
        door = aws.guarded(lambda: None)
        assert door.clients is aws.clients


async def test_a_call_that_has_waited_for_its_turn_is_not_sent_through_that_door() -> None:
    """The door was open when it came; see `monitor.writes`."""
    switch = KillSwitch()
    async with Aws(Metrics(), home_region="eu-west-1") as aws:
        door = aws.guarded(switch.may_write)
        client = await door.kms("111122223333", "eu-west-1")

        async def enable() -> None:
            async with door.calling("kms", "EnableKey"):
                switch.on = True
                await client.enable_key(KeyId="any")

        with pytest.raises(WorthRetrying, match="kms:EnableKey: not sent: the kill switch"):
            await enable()
