"""Python's websockets against a wsd that echoes:
python3 tests/e2e/python_websockets.py URL [COMPRESSION]
With a COMPRESSION, the check is 10,000 messages that are compressed in this way."""

import asyncio
import json
import random
import ssl
import sys

import websockets
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

URL = sys.argv[1]
MIB = 1024 * 1024


async def connect(**options):
    context = None
    if URL.startswith("wss:"):
        # wsd made the certificate itself: there is nobody to check it with.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return await websockets.connect(URL, ssl=context, max_size=None, **options)


async def close_cleanly(ws, code=1000, reason=""):
    await ws.close(code, reason)
    # Of the server's Close frame; 1006 if none came. RFC 6455 5.5.1: the answer "typically echos the
    # status code"; of the reason it says nothing.
    assert ws.close_code == code, ws.close_code


def data_of(size):
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def extensions_of(ws):
    return getattr(ws, "protocol", ws).extensions  # version 14 moved them


async def echoes_text_and_binary_of_every_size():
    for compression in [None, "deflate"]:
        ws = await connect(compression=compression)
        assert len(extensions_of(ws)) == (0 if compression is None else 1)
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


JSON = json.dumps(
    [{"id": i, "user": f"user {i * 7919 % 1000}", "price": i * 0.75} for i in range(30_000)]
)
NOISE = random.Random(7692).randbytes(3 * MIB // 2)  # the same in each run


def message(i):
    # Every size up to 2 KiB, and each 1,999th message is large: 0.2, 0.4, ... 1 MiB. Neighbours
    # overlap: most of a message is in the ones before it.
    size = (i + 1) * MIB // 9995 if i % 1999 == 1998 else 1 + i * 1237 % 2048
    at = i * 41 % (MIB // 4)
    if i % 5 == 0:
        return NOISE[at : at + size]
    if i % 5 == 1:
        return NOISE[at : at + size].decode("latin-1")
    text = JSON[at : at + size]
    return text.encode() if i % 5 == 2 else text


async def exchanges_10000_compressed_messages(declines, keeps_context):
    offer = ClientPerMessageDeflateFactory(
        server_no_context_takeover=declines,
        client_no_context_takeover=declines,
        client_max_window_bits=True,
    )
    ws = await connect(extensions=[offer], compression=None)
    (deflate,) = extensions_of(ws)
    assert deflate.name == "permessage-deflate", deflate
    assert deflate.local_no_context_takeover != keeps_context, deflate
    assert deflate.remote_no_context_takeover != keeps_context, deflate
    inflate = deflate.decode
    length = compressed_length = 0

    def decode(frame, **options):
        nonlocal length, compressed_length
        compressed_length += len(frame.data)
        decoded = inflate(frame, **options)
        length += len(decoded.data)
        return decoded

    deflate.decode = decode
    count, in_flight = 10_000, 20
    for i in range(count + in_flight):
        if i < count:
            await ws.send(message(i))
        if i >= in_flight:
            sent, echo = message(i - in_flight), await ws.recv()
            what = f"message {i - in_flight}: {len(sent)} sent, {len(echo)} received"
            assert type(echo) is type(sent) and echo == sent, what
    # So wsd did compress, and did look into its context if it has one.
    assert compressed_length / length < (0.4 if keeps_context else 0.7), (compressed_length, length)
    await close_cleanly(ws)


# Whether the client asks for no context takeover, and whether both sides then keep their context. A
# wsd that was started with --deflate takeover does unless it is asked not to; with --deflate on
# nobody keeps any.
COMPRESSIONS = {
    "on": {"declines": False, "keeps_context": False},
    "takeover": {"declines": False, "keeps_context": True},
    "takeover-declined": {"declines": True, "keeps_context": False},
}


async def main():
    if len(sys.argv) > 2:
        await exchanges_10000_compressed_messages(**COMPRESSIONS[sys.argv[2]])
        print("all checks passed")
        return
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
