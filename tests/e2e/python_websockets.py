"""Python's websockets against a wsd that echoes: python3 tests/e2e/python_websockets.py URL"""

import asyncio
import ssl
import sys

import websockets

URL = sys.argv[1]
MIB = 1024 * 1024


async def connect():
    context = None
    if URL.startswith("wss:"):
        # wsd made the certificate itself: there is nobody to check it with.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return await websockets.connect(URL, ssl=context, max_size=None)


async def close_cleanly(ws, code=1000, reason=""):
    await ws.close(code, reason)
    # Of the server's Close frame; 1006 if none came. RFC 6455 5.5.1: the answer "typically echos the
    # status code"; of the reason it says nothing.
    assert ws.close_code == code, ws.close_code


def data_of(size):
    return (bytes(range(251)) * (size // 251 + 1))[:size]


async def echoes_text_and_binary_of_every_size():
    ws = await connect()
    for size in [0, 1, 125, 126, 65535, 65536, MIB, 16 * MIB]:
        sent = data_of(size)
        await ws.send(sent)
        assert await ws.recv() == sent, f"binary of {size} bytes"
        if size <= MIB:
            await ws.send("x" * size)
            assert await ws.recv() == "x" * size, f"text of {size} bytes"
    await close_cleanly(ws)


async def echoes_utf8():
    ws = await connect()
    text = "κόσμε ≠ \U0001F600\0\uffff" * 5000
    await ws.send(text)
    assert await ws.recv() == text
    await close_cleanly(ws)


async def echoes_fragments_as_one_message():
    ws = await connect()
    await ws.send(["", "a", "", "€", "b" * 70000])
    assert await ws.recv() == "a€" + "b" * 70000
    await ws.send([data_of(MIB), b"", data_of(1)])
    assert await ws.recv() == data_of(MIB) + data_of(1)
    await close_cleanly(ws)


async def answers_pings():
    ws = await connect()
    for payload in [b"", b"hi", b"p" * 125]:
        # Done when a pong with this payload comes.
        await asyncio.wait_for(await ws.ping(payload), 10)
    await close_cleanly(ws)


async def keeps_the_order_of_pipelined_messages():
    ws = await connect()

    async def send_all():
        for i in range(1000):
            await ws.send(f"message {i}")

    sending = asyncio.create_task(send_all())
    for i in range(1000):
        assert await ws.recv() == f"message {i}"
    await sending
    await close_cleanly(ws, 3999, "all in order")


async def refuses_a_message_that_is_too_big():
    ws = await connect()
    try:
        await ws.send(data_of(16 * MIB + 1))
        await ws.recv()
    except websockets.ConnectionClosed:
        pass
    assert ws.close_code == 1009, ws.close_code


async def serves_50_at_once():
    everyone = await asyncio.gather(*(connect() for _ in range(50)))

    async def talk(i, ws):
        await ws.send(f"I am {i}")
        assert await ws.recv() == f"I am {i}"
        await close_cleanly(ws, 1000, "bye")

    await asyncio.gather(*(talk(i, ws) for i, ws in enumerate(everyone)))


async def main():
    for check in [
        echoes_text_and_binary_of_every_size,
        echoes_utf8,
        echoes_fragments_as_one_message,
        answers_pings,
        keeps_the_order_of_pipelined_messages,
        refuses_a_message_that_is_too_big,
        serves_50_at_once,
    ]:
        print(check.__name__, flush=True)  # the last one named is the one that failed or hung
        await check()
    print("all checks passed")


asyncio.run(main())
