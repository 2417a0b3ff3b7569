"""nginx that answers at once, with the headers that the service gives for the same request.

It keeps nothing and reads nothing: what an answer costs at least.
"""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from beacons.closed_loop import Answer
from beacons.server import Server, free_port

OWN_HEADERS: Final = frozenset({"content-length", "content-type", "date", "server", "connection"})
CONFIG: Final = """
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log warn;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  keepalive_timeout 65s;
  keepalive_requests 1000000000;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} backlog=2048;
    {locations}
  }}
}}
"""


def start_nginx(name: str, folder: Path, core: int, answers: Mapping[str, Answer]) -> Server:
    """Serve these answers by path: a bare 204, or nginx's own empty GIF."""
    if not shutil.which("nginx"):
        raise SystemExit("nginx is missing: install the package `nginx` (apt-get install nginx)")
    server = Server(name, folder, port=free_port(), core=core)
    locations = "\n    ".join(_location(path, answer) for path, answer in answers.items())
    config = folder / "nginx.conf"
    config.write_text(CONFIG.format(folder=folder, port=server.port, locations=locations))
    server.start(["nginx", "-p", str(folder), "-c", str(config), "-e", f"{folder}/error.log"])
    return server


def nginx_version() -> str:
    """Give what nginx calls itself, such as `nginx 1.22.1`."""
    said = subprocess.run(["nginx", "-v"], check=True, capture_output=True, text=True).stderr
    return said.strip().rpartition(" ")[2].replace("/", " ")


def _location(path: str, answer: Answer) -> str:
    lines = [
        f'add_header {name} "{value}";'
        for name, value in answer.headers
        if name.lower() not in OWN_HEADERS
    ]
    body = "return 204;" if answer.status == 204 else "empty_gif;"
    return f"location = {path} {{ {' '.join(lines)} {body} }}"
