"""What people say to AWS Config's recorder, and what they ask of it.

AWS Config API reference.
"""

from collections.abc import Callable, Mapping
from typing import Any

from monitor.simulator.config.recording import Recorder, Recording
from monitor.simulator.config.words import KEY, Place
from monitor.simulator.words import Refusal, Reply


def put_recorder(recording: Recording, parameters: Mapping[str, Any], place: Place) -> Reply:
    given = parameters["ConfigurationRecorder"]
    recording.recorder(place).settings = {"name": "default"} | given
    return Reply()


def put_channel(recording: Recording, parameters: Mapping[str, Any], place: Place) -> Reply:
    given = {"name": "default"} | parameters["DeliveryChannel"]
    if not given.get("s3BucketName"):
        raise Refusal("NoSuchBucketException", "The delivery channel names no bucket.")
    if recording.recorder(place).settings is None:
        raise no_recorder()
    recording.recorder(place).channel = given
    return Reply()


def start(recording: Recording, parameters: Mapping[str, Any], place: Place) -> Reply:
    recorder = named_recorder(recording, parameters, place)
    if recorder.channel is None:
        raise Refusal("NoAvailableDeliveryChannelException", "Delivery channel is not available.")
    recorder.running, recorder.started_at = True, recording.now()
    recording.discover(place)
    return Reply()


def stop(recording: Recording, parameters: Mapping[str, Any], place: Place) -> Reply:
    recorder = named_recorder(recording, parameters, place)
    recorder.running, recorder.stopped_at = False, recording.now()
    return Reply()


def delete_recorder(recording: Recording, parameters: Mapping[str, Any], place: Place) -> Reply:
    named_recorder(recording, parameters, place)
    recording.recorders[place] = Recorder(channel=recording.recorder(place).channel)
    return Reply()


def delete_channel(recording: Recording, _: Mapping[str, Any], place: Place) -> Reply:
    recorder = recording.recorder(place)
    if recorder.running:
        raise Refusal(
            "LastDeliveryChannelDeleteFailedException",
            "Failed to delete last specified delivery channel: a recorder is running.",
        )
    recorder.channel = None
    return Reply()


def named_recorder(recording: Recording, parameters: Mapping[str, Any], place: Place) -> Recorder:
    recorder = recording.recorder(place)
    name = parameters["ConfigurationRecorderName"]
    if recorder.settings is None or recorder.settings["name"] != name:
        raise Refusal(
            "NoSuchConfigurationRecorderException",
            f"Cannot find configuration recorder with the specified name '{name}'.",
        )
    return recorder


def recorders(recording: Recording, _: Mapping[str, Any], place: Place) -> Reply:
    settings = recording.recorder(place).settings
    return Reply(body={"ConfigurationRecorders": [settings] if settings else []}, read_only=True)


def recorder_status(recording: Recording, _: Mapping[str, Any], place: Place) -> Reply:
    one = recording.recorder(place)
    times = {"lastStartTime": one.started_at, "lastStopTime": one.stopped_at}
    shown = [
        {"name": one.settings["name"], "recording": one.running}
        | {name: at for name, at in times.items() if at}
        for _ in [0]
        if one.settings is not None
    ]
    return Reply(body={"ConfigurationRecordersStatus": shown}, read_only=True)


def channels(recording: Recording, _: Mapping[str, Any], place: Place) -> Reply:
    channel = recording.recorder(place).channel
    return Reply(body={"DeliveryChannels": [channel] if channel else []}, read_only=True)


def history(recording: Recording, parameters: Mapping[str, Any], place: Place) -> Reply:
    """The newest first, between two moments."""
    kind, name = parameters["resourceType"], parameters["resourceId"]
    found = [
        one
        for items in recording.history.values()
        for one in items
        if (kind, name, place) == (KEY, one.resource_id, one.place)
    ]
    if not found:
        raise Refusal(
            "ResourceNotDiscoveredException",
            f"Resource {name} of resourceType:{kind} is unknown or has not been discovered",
        )
    later = float(parameters.get("laterTime") or recording.now() + 1)
    earlier = float(parameters.get("earlierTime") or 0)
    # A moment has whole milliseconds in messages.
    chosen = [one for one in reversed(found) if earlier <= one.captured_at <= later + 0.001]
    most = int(parameters.get("limit") or 10)
    return Reply(
        body={"configurationItems": [one.recorded() for one in chosen[:most]]}, read_only=True
    )


def no_recorder() -> Refusal:
    return Refusal(
        "NoAvailableConfigurationRecorderException", "Configuration recorder is not available."
    )


RECORDER_CALLS: Mapping[str, Callable[[Recording, Mapping[str, Any], Place], Reply]] = {
    "PutConfigurationRecorder": put_recorder,
    "PutDeliveryChannel": put_channel,
    "StartConfigurationRecorder": start,
    "StopConfigurationRecorder": stop,
    "DeleteConfigurationRecorder": delete_recorder,
    "DeleteDeliveryChannel": delete_channel,
    "DescribeConfigurationRecorders": recorders,
    "DescribeConfigurationRecorderStatus": recorder_status,
    "DescribeDeliveryChannels": channels,
    "GetResourceConfigHistory": history,
}
