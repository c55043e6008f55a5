"""Echoes messages of every size through the URL given, by Python's websockets.

Prints one line, "ok N", when all N messages came back as they went.
"""
import asyncio
import os
import sys

import websockets

SIZES = [0, 1, 125, 126, 65535, 65536, 1 << 20, 16 << 20]


def chunks(data, n):
    """The message in n frames or more, as websockets sends an iterable."""
    step = max(1, len(data) // n)
    return [data[i:i + step] for i in range(0, len(data), step)] or [data]


async def echo(ws, data, send):
    await ws.send(send)
    back = await asyncio.wait_for(ws.recv(), 60)
    if back != data:
        raise SystemExit(f"{len(data)} {type(data).__name__}: got {len(back)} {type(back).__name__}")


async def main(url):
    done = 0
    async with websockets.connect(url, max_size=None, compression=None, ping_timeout=None) as ws:
        for size in SIZES:
            binary = os.urandom(size)
            text = ("aü€😀" * (size // 10 + 1)).encode()[:size].decode(errors="ignore")
            text += "x" * (size - len(text.encode()))
            # PHP answers nothing to an empty message, by contract.
            if size == 0:
                await ws.send(binary)
                await ws.send(text)
                await echo(ws, "after nothing", "after nothing")
                done += 2
                continue
            for data in (binary, text):
                await echo(ws, data, data)
                await echo(ws, data, chunks(data, 5))
                done += 2
    print("ok", done)


asyncio.run(main(sys.argv[1]))
