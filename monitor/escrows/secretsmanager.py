"""Key material in AWS Secrets Manager, best of another account than the keys'.

A secret that is encrypted under the very key that it is to bring back cannot be read when it is
needed. A binary secret is taken as it is, or as `encoding` says; a secret string always as text.
"""

from typing import ClassVar

from pydantic import BaseModel, Field, model_validator

from monitor.entry import Entry
from monitor.errors import Denied, NotWorthRetrying
from monitor.escrow import EncodingOption, Names, Secret, Wanted, decode, filled
from monitor.plugins import Services
from monitor.setting_types import ExternalId, Region, RoleArn

NOT_FOUND = "ResourceNotFoundException"
ENTRY = "escrow secretsmanager"
"""Under which name its role is kept; no account has such a name."""
ADVICE = {
    "DecryptionFailure": "the key that encrypts the secret cannot be used; is it the one to be saved?",
    "InvalidRequestException": "the secret is probably scheduled for deletion: restore-secret",
}


class SecretsManagerOptions(BaseModel, extra="forbid"):
    secret: Names = Field(
        description="The secret's name or ARN, or several that are tried in turn. Placeholders: "
        "account, arn, key_id, material_id, region."
    )
    region: Region = Field(description="The Region in which the secrets are.")
    role_arn: RoleArn | None = Field(
        None, description="The role to assume for secrets of another account."
    )
    external_id: ExternalId | None = None
    encoding: EncodingOption = "base64"

    @model_validator(mode="after")
    def external_id_goes_with_a_role(self) -> "SecretsManagerOptions":
        if self.external_id is not None and self.role_arn is None:
            raise ValueError("external_id is used only together with role_arn")
        return self


class SecretsManagerEscrow:
    name: ClassVar[str] = "secretsmanager"
    Options: ClassVar[type[BaseModel]] = SecretsManagerOptions

    def __init__(self, options: SecretsManagerOptions, services: Services) -> None:
        self.options = options
        self.aws = services.aws
        self.entry = ""
        if options.role_arn:
            self.entry = ENTRY
            self.aws.enter(Entry(ENTRY, options.role_arn, options.external_id or ""))

    async def fetch(self, wanted: Wanted) -> Secret | None:
        for name in filled(self.options.secret, wanted):
            if (found := await self.read(name)) is not None:
                return found
        return None

    async def read(self, name: str) -> Secret | None:
        client = await self.aws.client("secretsmanager", self.options.region, self.entry)
        try:
            async with self.aws.calling("secretsmanager", "GetSecretValue"):
                answer = await client.get_secret_value(SecretId=name)
        except Denied as error:
            # A role that may read only its own secrets gets this for a name that there is not.
            raise Denied(f"secret {name}: {error}", code=error.code) from error
        except NotWorthRetrying as error:
            if error.code == NOT_FOUND:
                return None
            advice = ADVICE.get(error.code, "")
            text = f"secret {name}: {error}" + (f": {advice}" if advice else "")
            raise NotWorthRetrying(text, code=error.code) from error
        if (binary := answer.get("SecretBinary")) is not None:
            return decode(binary, self.options.encoding, f"secret {name}")
        if self.options.encoding == "raw":
            raise NotWorthRetrying(f"secret {name} is text; encoding raw is for binary secrets")
        return decode(answer["SecretString"].encode(), self.options.encoding, f"secret {name}")
