"""How a server ends."""

import subprocess
import sys
from typing import Final

ENDED_BEFORE_IT_LISTENS: Final = """
import os, signal, uvicorn
from service.tag_server import litestar_of, run_server

serve = uvicorn.Server.run

def run(self, sockets=None):
    os.kill(os.getpid(), signal.SIGTERM)
    serve(self, sockets)

uvicorn.Server.run = run
run_server(litestar_of([], state={"has_tag": False}, lifespan=[]), host="127.0.0.1", port=0)
print("ended")
"""


def test_a_server_told_to_end_before_it_listens_ends() -> None:
    """SIGTERM between a server's start and its first moment of service is not forgotten."""
    ran = subprocess.run(
        [sys.executable, "-c", ENDED_BEFORE_IT_LISTENS],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert ran.stdout == "ended\n"
