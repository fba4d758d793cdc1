"""A server of Python's websockets that echoes:
python3 tests/e2e/python_websockets_server.py off|on|takeover
It writes its port, and ends when somebody asks for /quit."""

import asyncio
import sys

import websockets
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory

MODE = sys.argv[1]
quitting = asyncio.Event()


def deflate():
    if MODE == "off":
        return []
    alone = MODE == "on"
    return [
        ServerPerMessageDeflateFactory(
            server_no_context_takeover=alone, client_no_context_takeover=alone
        )
    ]


async def serve(ws):
    path = ws.path if hasattr(ws, "path") else ws.request.path  # version 14 moved it
    if path == "/quit":
        await ws.close(1001, "as you like")
        quitting.set()
    elif path == "/extensions":
        extensions = getattr(ws, "protocol", ws).extensions  # version 14 moved them
        await ws.send(",".join(extension.name for extension in extensions))
    else:
        async for message in ws:
            await ws.send(message)


async def main():
    options = {"compression": None, "extensions": deflate(), "max_size": None}
    async with websockets.serve(serve, "127.0.0.1", 0, **options) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await quitting.wait()


asyncio.run(main())
