"""The settings that say how to reach an MQTT broker, and the secrets that they refer to.

Certificates, keys and passwords are read again for every connection: they may have been renewed. A
password is only ever named, by file or variable, and never kept.
"""

import os
import socket
import ssl
from pathlib import Path
from typing import Self

from pydantic import BaseModel, Field, model_validator


class BrokerOptions(BaseModel, extra="forbid"):
    """How to reach the broker."""

    host: str = Field(
        pattern=r"^[A-Za-z0-9._:-]{1,253}$", description="Name or address of the broker."
    )
    port: int | None = Field(
        default=None, ge=1, le=65535, description="Default 8883 with TLS, 1883 without."
    )
    tls: bool = Field(default=True, description="TLS; `false` sends everything in the clear.")
    ca_file: Path | None = Field(
        default=None, description="CA certificates (PEM); default: those of the system."
    )
    cert_file: Path | None = Field(default=None, description="Our own certificate chain (PEM).")
    key_file: Path | None = Field(
        default=None, description="Key of `cert_file`, not encrypted; default: in `cert_file`."
    )
    verify_hostname: bool = Field(
        default=True, description="Whether the certificate must carry the broker's name."
    )
    username: str | None = Field(
        default=None, min_length=1, max_length=1024, description="Default: no log-in."
    )
    password_file: Path | None = Field(
        default=None, description="File that holds the password; a last newline is ignored."
    )
    password_env: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$",
        description="Environment variable that holds the password.",
    )
    client_id: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_.:@=-]{1,64}$",
        description="Default kms-monitor-<host name>. Two with the same id throw each other out.",
    )
    keepalive: int = Field(default=30, ge=5, le=3600, description="Seconds of MQTT keep-alive.")
    ack_seconds: float = Field(
        default=10.0,
        gt=0,
        le=25,
        description="Longest wait for an acknowledgement, connecting included.",
    )
    reconnect_min_seconds: float = Field(
        default=1.0, gt=0, le=60, description="First wait before connecting again; it doubles."
    )
    reconnect_max_seconds: float = Field(
        default=60.0, gt=0, le=3600, description="Longest wait before connecting again."
    )
    heartbeat_seconds: float = Field(
        default=30.0, gt=0, le=3600, description="Between two refreshes of the retained status."
    )

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if not self.tls and (self.ca_file or self.cert_file or self.key_file):
            raise ValueError("ca_file, cert_file and key_file need tls: true")
        if self.key_file and not self.cert_file:
            raise ValueError("key_file needs cert_file")
        if self.password_file and self.password_env:
            raise ValueError("password_file or password_env, not both")
        if (self.password_file or self.password_env) and not self.username:
            raise ValueError("a password needs a username (MQTT 3.1.1, section 3.1.2.9)")
        if self.reconnect_min_seconds > self.reconnect_max_seconds:
            raise ValueError("reconnect_min_seconds must not exceed reconnect_max_seconds")
        return self

    @property
    def address(self) -> str:
        return f"{self.host}:{self.used_port}"

    @property
    def used_port(self) -> int:
        return self.port or (8883 if self.tls else 1883)

    @property
    def used_client_id(self) -> str:
        """Stable for one replica: in Kubernetes the host name is the pod's."""
        if self.client_id:
            return self.client_id
        host = "".join(c if c.isascii() and c.isalnum() else "-" for c in socket.gethostname())
        return (host if host.startswith("kms-monitor") else f"kms-monitor-{host}")[:64]

    def password(self) -> str | None:
        """Read now. Raises OSError or ValueError, whose texts hold names, never the password."""
        if self.password_file:
            try:
                return self.password_file.read_text(encoding="utf-8").rstrip("\r\n")
            except UnicodeDecodeError:
                # Its text would quote bytes of the file.
                raise ValueError(f"password_file {self.password_file} is not UTF-8") from None
        if self.password_env:
            if self.password_env not in os.environ:
                raise ValueError(f"the environment variable {self.password_env} is not set")
            return os.environ[self.password_env]
        return None

    def tls_context(self) -> ssl.SSLContext | None:
        """Read now. Raises OSError (`ssl.SSLError` is one)."""
        if not self.tls:
            return None
        step = f"ca_file {self.ca_file}"
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            context.check_hostname = self.verify_hostname
            if self.cert_file:
                step = f"cert_file {self.cert_file}, key_file {self.key_file}"
                # An encrypted key must not ask for its password on the terminal.
                context.load_cert_chain(self.cert_file, self.key_file, password=lambda: "")
        except OSError as error:
            raise OSError(f"{step}: {error.strerror or error}") from error
        return context
