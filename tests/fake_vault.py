"""The parts of Vault's HTTP API that an escrow uses, after its documentation.

Sources: developer.hashicorp.com/vault/api-docs: "KV secrets engine - version 1" and "version 2",
"Kubernetes auth method", "HTTP API" (headers, status codes, errors).
"""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer


class Vault:
    """`secrets` by their path; `trouble`: a status that every request gets."""

    def __init__(self) -> None:
        self.tokens = {"s.good"}
        self.secrets: dict[str, dict[str, str]] = {}
        self.deleted: set[str] = set()
        self.trouble = 0
        self.seen: list[web.Request] = []
        self.address = ""

    async def handle(self, request: web.Request) -> web.Response:
        self.seen.append(request)
        match self.trouble:
            case 0:
                pass
            case 307:
                return web.Response(status=307, headers={"Location": "http://127.0.0.1:1/v1/x"})
            case 200:
                return web.Response(status=200, body=b"<html>" + b"x" * 70_000)
            case status:
                errors = ["Vault is sealed"] if status == 503 else ["internal error"]
                return web.json_response({"errors": errors}, status=status)
        path = request.path.removeprefix("/v1/")
        if path == "auth/kubernetes/login":
            return await self.login(request)
        if request.headers.get("X-Vault-Token") not in self.tokens:
            return web.json_response({"errors": ["permission denied"]}, status=403)
        if path.startswith("old/"):
            return self.version_1(path.removeprefix("old/"))
        if path.startswith("secret/data/"):
            return self.version_2(path.removeprefix("secret/data/"))
        text = f'no handler for route "{path}". route entry not found.'
        return web.json_response({"errors": [text]}, status=404)

    async def login(self, request: web.Request) -> web.Response:
        asked = await request.json()
        if asked != {"role": "kms-monitor", "jwt": "pod.jwt"}:
            return web.json_response({"errors": ["permission denied"]}, status=403)
        return web.json_response({"auth": {"client_token": "s.good", "lease_duration": 3600}})

    def version_1(self, path: str) -> web.Response:
        if path not in self.secrets:
            return web.json_response({"errors": []}, status=404)
        return web.json_response({"data": self.secrets[path], "lease_duration": 2764800})

    def version_2(self, path: str) -> web.Response:
        if path in self.deleted:
            metadata: dict[str, Any] = {"deletion_time": "2026-11-20T09:14:03Z", "version": 1}
            return web.json_response({"data": {"data": None, "metadata": metadata}}, status=404)
        if path not in self.secrets:
            return web.json_response({"errors": []}, status=404)
        metadata = {"deletion_time": "", "destroyed": False, "version": 1}
        return web.json_response({"data": {"data": self.secrets[path], "metadata": metadata}})


@asynccontextmanager
async def fake_vault(context: ssl.SSLContext | None = None) -> AsyncIterator[Vault]:
    vault = Vault()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", vault.handle)
    server = TestServer(application, scheme="https" if context else "http")
    await server.start_server(ssl=context)
    vault.address = str(server.make_url("/")).rstrip("/")
    try:
        yield vault
    finally:
        await server.close()
