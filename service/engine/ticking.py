"""Calls something again and again in a thread, while an application serves."""

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


@asynccontextmanager
async def ticking(tick: Callable[[], float]) -> AsyncIterator[None]:
    """Call `tick` at once, and again after as many seconds as it says each time."""
    stop = threading.Event()

    def run() -> None:
        pause_s = 0.0
        while not stop.wait(pause_s):
            pause_s = tick()

    thread = threading.Thread(target=run, name="engine", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
