"""`/metrics`, `/healthz` and `/readyz`. Nothing here changes anything.

`/healthz`: the process moves; it looks at our own loop only, for a restart mends neither AWS nor a
broker. `/readyz`: it can do its job; every reason why not is listed.
"""

from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client.aiohttp import make_aiohttp_handler

from monitor.metrics import Metrics

Problems = Callable[[], dict[str, str]]
"""What is wrong now, by part; empty when all is well."""


async def serve(
    host: str, port: int, metrics: Metrics, *, health: Problems, readiness: Problems
) -> tuple[web.AppRunner, int]:
    """Start the server; the runner, whose `cleanup` stops it, and the port it got."""

    def probe(problems: Problems) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handler(_: web.Request) -> web.Response:
            found = problems()
            return web.json_response(
                {"status": "failing" if found else "ok", "problems": found},
                status=503 if found else 200,
            )

        return handler

    app = web.Application(client_max_size=1024)
    app.router.add_get("/metrics", make_aiohttp_handler(metrics.registry))
    app.router.add_get("/healthz", probe(health))
    app.router.add_get("/readyz", probe(readiness))
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    await site.start()
    return runner, runner.addresses[0][1]
