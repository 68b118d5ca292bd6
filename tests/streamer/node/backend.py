"""A light backend as a process of its own: it speaks the control protocol; sessions' ids say what else it does."""

import asyncio
import os
import sys

from aiohttp import web


async def main() -> None:
    if "--fails" in sys.argv:
        sys.exit("no GPU is free, and the token is " + os.environ["PIXELFERRY_CONTROL_TOKEN"])
    if "--port-taken" in sys.argv:
        sys.exit(75)
    claim: list[str] = []
    expected = f"Bearer {os.environ['PIXELFERRY_CONTROL_TOKEN']}"

    async def handle(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != expected:
            return web.json_response({}, status=401)
        match request.method, request.path:
            case "PUT", _:
                claim[:] = [(await request.json())["session_id"]]
                if claim == ["exit"]:
                    os._exit(3)
            case "DELETE", _:
                if request.query.get("session_id") in (None, *claim):
                    claim.clear()
            case "GET", "/v1/environment":
                return web.json_response(dict(os.environ))
        body: dict[str, object] = {"state": "claimed" if claim else "idle", "protocol": 1}
        return web.json_response(body | ({"session_id": claim[0]} if claim else {}))

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(application)
    await runner.setup()
    host, port = os.environ["PIXELFERRY_BACKEND_HOST"], int(os.environ["PIXELFERRY_CONTROL_PORT"])
    await web.TCPSite(runner, host, port).start()
    await asyncio.Event().wait()


asyncio.run(main())
