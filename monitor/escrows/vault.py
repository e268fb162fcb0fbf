"""Key material in HashiCorp Vault or OpenBao: a field of a secret in a KV engine, version 1 or 2.

Over its HTTP API ("KV secrets engine - version 2 (API)", "Kubernetes auth method (API)"). A redirect
is not followed: the token would be sent to wherever it points.
"""

import asyncio
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import quote, urlsplit

import aiohttp
import msgspec
from pydantic import BaseModel, Field, field_validator, model_validator

from monitor.errors import Denied, NotWorthRetrying, WorthRetrying
from monitor.escrow import LARGEST, EncodingOption, Names, Secret, Wanted, decode, filled
from monitor.http_door import LOOPBACK, trusting
from monitor.plugins import Services
from monitor.secret_text import read_secret

PASSING = {
    307: "it is a standby; `address` should lead to the active node",
    429: "it is a standby, or asks for patience",
    472: "it is a secondary of a recovery cluster",
    473: "it is a performance standby",
    503: "it is sealed, or down for maintenance",
}
"""Statuses of which Vault says that they pass ("HTTP status codes", "sys/health")."""
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


class Kubernetes(BaseModel, extra="forbid"):
    """Logs in by the token of the pod's service account."""

    role: str = Field(min_length=1, max_length=256, description="Vault's role for the pod.")
    mount: str = Field(
        "kubernetes",
        pattern=r"^[A-Za-z0-9_/-]{1,128}$",
        description="Where the auth method is mounted.",
    )
    jwt_file: Path = Field(
        SERVICE_ACCOUNT, description="The service account's token; read each time."
    )


class VaultOptions(BaseModel, extra="forbid"):
    address: str = Field(description="Such as https://vault.example.org:8200.")
    mount: str = Field(
        "secret", pattern=r"^[A-Za-z0-9_/-]{1,128}$", description="Where the KV engine is mounted."
    )
    path: Names = Field(
        ["kms/{key_id}"],
        description="The secret's path in it, or several that are tried in turn. Placeholders: "
        "account, arn, key_id, material_id, region.",
    )
    field: str = Field(
        "material", min_length=1, max_length=256, description="Which field of the secret has it."
    )
    version: Literal[1, 2] = Field(2, description="Which version of the KV engine.")
    namespace: str | None = Field(
        None, pattern=r"^[A-Za-z0-9_/-]{1,256}$", description="The namespace; none: the root's."
    )
    token_file: Path | None = Field(
        None,
        description="A file with the token, such as the sink of a Vault agent; read each time.",
    )
    kubernetes: Kubernetes | None = Field(
        None, description="Instead of a token: log in by the pod's service account."
    )
    ca_file: Path | None = Field(
        None, description="CA certificates (PEM). Default: those of the system."
    )
    timeout_seconds: float = Field(10, gt=0, le=60, description="For one answer of Vault's.")
    encoding: EncodingOption = "base64"

    @field_validator("encoding")
    @classmethod
    def is_text(cls, value: str) -> str:
        if value == "raw":
            raise ValueError("must be base64 or hex: a field of a secret is text")
        return value

    @field_validator("address")
    @classmethod
    def is_an_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
            raise ValueError("must be an address such as https://vault.example.org:8200")
        if parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError("must be an address without a path: those are `mount` and `path`")
        if parts.scheme == "http" and parts.hostname not in LOOPBACK:
            raise ValueError("must begin with https://: key material would go in the clear")
        return value.rstrip("/")

    @model_validator(mode="after")
    def logs_in_somehow(self) -> "VaultOptions":
        if (self.token_file is None) == (self.kubernetes is None):
            raise ValueError("either token_file or kubernetes must be there")
        return self


class VaultEscrow:
    name: ClassVar[str] = "vault"
    Options: ClassVar[type[BaseModel]] = VaultOptions

    def __init__(self, options: VaultOptions, _services: Services) -> None:
        self.options = options

    async def fetch(self, wanted: Wanted) -> Secret | None:
        options = self.options
        # Opened each time: material is asked for once in months.
        async with aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=options.timeout_seconds),
            connector=aiohttp.TCPConnector(ssl=await asyncio.to_thread(trusting, options.ca_file)),
        ) as http:
            token = await self.token(http)
            for path in filled(options.path, wanted):
                if (found := await self.read(http, token, path)) is not None:
                    return found
        return None

    async def token(self, http: aiohttp.ClientSession) -> str:
        login, file = self.options.kubernetes, self.options.token_file
        if login is None:
            assert file is not None, "settings have one of both"
            return await asyncio.to_thread(read_secret, file, None)
        jwt = await asyncio.to_thread(read_secret, login.jwt_file, None)
        status, answer = await self.ask(
            http, "POST", f"auth/{login.mount}/login", {}, {"role": login.role, "jwt": jwt}
        )
        token = member(answer, "auth", "client_token")
        if status != 200 or not isinstance(token, str):
            raise self.refused(status, answer, f"logging in as {login.role}")
        return token

    async def read(self, http: aiohttp.ClientSession, token: str, path: str) -> Secret | None:
        options = self.options
        data = "data/" if options.version == 2 else ""
        place = f"{options.mount}/{data}{quote(path)}"
        status, answer = await self.ask(http, "GET", place, {"X-Vault-Token": token})
        what = f"secret {options.mount}/{path}"
        if status == 404:
            # A secret that is not there comes without words; a version that was deleted with metadata.
            if member(answer, "errors"):
                raise self.refused(status, answer, what)
            if member(answer, "data", "metadata", "deletion_time"):
                raise NotWorthRetrying(f"{what} was deleted in Vault: undelete it")
            return None
        if status != 200:
            raise self.refused(status, answer, what)
        levels = ("data", "data") if options.version == 2 else ("data",)
        value = member(answer, *levels, options.field)
        if not isinstance(value, str):
            raise NotWorthRetrying(
                f"{what} has no text in the field {options.field}; see `field` and `version`"
            )
        return decode(value.encode(), options.encoding, what)

    async def ask(
        self,
        http: aiohttp.ClientSession,
        method: str,
        place: str,
        headers: dict[str, str],
        body: dict[str, str] | None = None,
    ) -> tuple[int, Any]:
        """Status and answer; None for an answer that is not JSON."""
        if self.options.namespace:
            headers = headers | {"X-Vault-Namespace": self.options.namespace}
        url = f"{self.options.address}/v1/{place}"
        try:
            async with http.request(
                method,
                url,
                headers=headers | {"X-Vault-Request": "true"},
                data=None if body is None else msgspec.json.encode(body),
                allow_redirects=False,
            ) as response:
                text = await response.content.read(LARGEST + 1)
                while len(text) <= LARGEST and (piece := await response.content.read(LARGEST)):
                    text += piece
                status = response.status
        except aiohttp.ClientConnectorCertificateError as error:
            why = error.certificate_error
            raise NotWorthRetrying(f"vault {url}: its certificate is not good: {why}") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            kind = type(error).__name__
            raise WorthRetrying(f"vault {url}: cannot be reached: {kind}") from error
        return status, parsed(text)

    def refused(self, status: int, answer: Any, what: str) -> WorthRetrying | NotWorthRetrying:
        """Vault's no, in words. Its own words of a refusal hold no secret."""
        given = member(answer, "errors")
        texts = [one for one in given if isinstance(one, str)] if isinstance(given, list) else []
        words = " ".join("; ".join(texts).split())[:300]
        text = f"vault {self.options.address}: {what}: HTTP {status}" + (words and f": {words}")
        if status in PASSING:
            return WorthRetrying(f"{text}: {PASSING[status]}")
        if status >= 500:
            return WorthRetrying(text)
        if status in {401, 403}:
            return Denied(f"{text}: the token is not valid any more, or its policy lacks `read`")
        return NotWorthRetrying(text)


def parsed(text: bytes) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None


def member(answer: Any, *path: str) -> Any:
    """What stands there; None where nothing does."""
    for name in path:
        answer = answer.get(name) if isinstance(answer, dict) else None
    return answer
