"""Where the settings of the function come from: one door for all the places.

    KMS_MONITOR_SETTINGS   the settings themselves, as YAML
    KMS_MONITOR_CONFIG     where they are:
        settings.yaml          a file beside the code
        ssm:/kms-monitor       a parameter of Systems Manager; a SecureString is decrypted
        appconfig:APP/ENV/PROFILE   AWS AppConfig: by its Lambda extension, where that is there

Texts from there may hold secrets: they are never shown. Sources: "Using AWS AppConfig Agent with AWS
Lambda" and the API references of AppConfig Data and Systems Manager.
"""

import asyncio
import http.client
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec

from monitor.aws import Aws
from monitor.errors import MonitorError, SettingsError

INLINE: Final = "KMS_MONITOR_SETTINGS"
PLACE: Final = "KMS_MONITOR_CONFIG"
SSM: Final = "ssm:"
APPCONFIG: Final = "appconfig:"
EXTENSION_PORT: Final = "AWS_APPCONFIG_EXTENSION_HTTP_PORT"
LARGEST: Final = 2 * 1024 * 1024
"""Bytes that are read of an answer; AppConfig's own limit for a hosted profile."""
PATIENCE: Final = 5.0
"""Seconds that the extension may take; it asks AppConfig itself the first time."""


class Given(msgspec.Struct, frozen=True):
    """A text, and what people know it by."""

    name: str
    text: bytes
    changes: bool
    """Whether it may be another one at the next look: files and variables of a function are fixed."""


async def settings_text(environment: Mapping[str, str], aws: Aws) -> Given:
    """Raises `SettingsError`."""
    inline, place = environment.get(INLINE, ""), environment.get(PLACE, "")
    if inline and place:
        raise SettingsError([f"{INLINE} and {PLACE} are both set: which of them counts?"])
    if inline:
        return Given(INLINE, inline.encode(), changes=False)
    if not place:
        raise SettingsError([f"neither {INLINE} nor {PLACE} is set: where are the settings?"])
    try:
        if place.startswith(SSM):
            return Given(place, await from_ssm(place.removeprefix(SSM), aws), changes=True)
        if place.startswith(APPCONFIG):
            text = await from_appconfig(place, environment, aws)
            return Given(place, text, changes=True)
    except MonitorError as error:
        raise SettingsError([f"{place}: cannot be read: {error}"]) from error
    try:
        return Given(place, await asyncio.to_thread(Path(place).read_bytes), changes=False)
    except OSError as error:
        raise SettingsError([f"{place}: cannot be read: {error.strerror}"]) from error


async def from_ssm(name: str, aws: Aws) -> bytes:
    client = await aws.client("ssm", region_of(aws))
    async with aws.calling("ssm", "GetParameter"):
        answer = await client.get_parameter(Name=name, WithDecryption=True)
    return str(answer["Parameter"]["Value"]).encode()


async def from_appconfig(place: str, environment: Mapping[str, str], aws: Aws) -> bytes:
    parts = place.removeprefix(APPCONFIG).split("/")
    if len(parts) != 3 or not all(parts):
        raise SettingsError([f"{place}: must be {APPCONFIG}APPLICATION/ENVIRONMENT/PROFILE"])
    port = environment.get(EXTENSION_PORT, "2772")
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise SettingsError([f"{EXTENSION_PORT}: is no port"])
    told = await asyncio.to_thread(ask_extension, int(port), parts)
    return await ask_appconfig(parts, aws) if told is None else told


def ask_extension(port: int, parts: list[str]) -> bytes | None:
    """None where there is no extension. Raises `SettingsError`."""
    application, stage, profile = (quote(one, safe="") for one in parts)
    path = f"/applications/{application}/environments/{stage}/configurations/{profile}"
    connection = http.client.HTTPConnection("localhost", port, timeout=PATIENCE)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read(LARGEST)
    except ConnectionRefusedError:
        return None
    except (OSError, http.client.HTTPException) as error:
        problem = str(error) or type(error).__name__
        raise SettingsError([f"AppConfig's extension does not answer: {problem}"]) from error
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise SettingsError([f"AppConfig's extension says {answer.status} for {'/'.join(parts)}"])
    return text


async def ask_appconfig(parts: list[str], aws: Aws) -> bytes:
    application, stage, profile = parts
    client = await aws.client("appconfigdata", region_of(aws))
    async with aws.calling("appconfigdata", "StartConfigurationSession"):
        begun = await client.start_configuration_session(
            ApplicationIdentifier=application,
            EnvironmentIdentifier=stage,
            ConfigurationProfileIdentifier=profile,
        )
    async with aws.calling("appconfigdata", "GetLatestConfiguration"):
        answer = await client.get_latest_configuration(
            ConfigurationToken=begun["InitialConfigurationToken"]
        )
        body: Any = answer["Configuration"]
        return bytes(await body.read())


def region_of(aws: Aws) -> str:
    return aws.home_region or "us-east-1"
