"""Between Playwright and a Firefox that is older than Playwright would like.

    python -m scripts.bidi PROGRAM [ARGUMENT ...]

Starts Firefox with the arguments that Playwright has for it, and stands in its WebDriver BiDi
socket: everything passes as it is, but the commands that Firefox ESR 153 does not know, and that
nothing here needs, are answered as done. Without that Playwright opens no page in it.
"""

import asyncio
import json
import re
import shlex
import sys
from pathlib import Path
from typing import Final

import aiohttp
from aiohttp import web

# A new page asks for a colour scheme.
_ANSWERED_HERE: Final = frozenset({"emulation.setMediaFeaturesOverride"})
_LISTENING: Final = re.compile(rb"WebDriver BiDi listening on (ws://\S+)")


def executable(program: str, directory: Path) -> str:
    """The path of a script that starts `program` behind this one, for who takes only a path."""
    script = directory / Path(program).name
    words = shlex.join([sys.executable, "-m", "scripts.bidi", program])
    script.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    script.chmod(0o755)
    return str(script)


class Passage:
    """One listening port, and behind it the browser's own, which is known a little later."""

    def __init__(self) -> None:
        self.browser = ""

    async def open(self) -> int:
        """Listen on 127.0.0.1; the port."""
        application = web.Application()
        application.router.add_get("/{path:.*}", self._pass)
        self._runner = web.AppRunner(application)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        port: int = self._runner.addresses[0][1]
        return port

    async def close(self) -> None:
        await self._runner.cleanup()

    async def _pass(self, request: web.Request) -> web.WebSocketResponse:
        # 0: no limit, since a screenshot is one message.
        near = web.WebSocketResponse(max_msg_size=0)
        await near.prepare(request)
        async with (
            aiohttp.ClientSession() as http,
            http.ws_connect(self.browser + request.path, max_msg_size=0) as far,
        ):
            back = asyncio.create_task(_carry_back(far, near))
            async for message in near:
                answer = _answer(message.data)
                await (near.send_str(answer) if answer else far.send_str(message.data))
            await far.close()
            await back
        return near


def _answer(message: str) -> str | None:
    """What is answered here to a command; None where Firefox answers."""
    command = json.loads(message)
    if command["method"] not in _ANSWERED_HERE:
        return None
    return json.dumps({"type": "success", "id": command["id"], "result": {}})


async def _carry_back(far: aiohttp.ClientWebSocketResponse, near: web.WebSocketResponse) -> None:
    async for message in far:
        await near.send_str(message.data)
    await near.close()


async def run(program: str, arguments: list[str]) -> int:
    """Firefox until it ends; its exit status."""
    passage = Passage()
    port = await passage.open()
    firefox = await asyncio.create_subprocess_exec(
        program, *arguments, stdout=sys.stderr, stderr=asyncio.subprocess.PIPE
    )
    assert firefox.stderr is not None
    async for line in firefox.stderr:
        if listening := _LISTENING.search(line):
            passage.browser = listening[1].decode()
            line = line.replace(listening[1], f"ws://127.0.0.1:{port}".encode())
        sys.stderr.buffer.write(line)
        sys.stderr.buffer.flush()
    status = await firefox.wait()
    await passage.close()
    return status


if __name__ == "__main__":
    sys.exit(asyncio.run(run(sys.argv[1], sys.argv[2:])))
