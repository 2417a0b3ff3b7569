"""A ClickHouse server's HTTP interface, answered from chDB by a process of its own.

`StandIn` starts and stops it for tests; run as a program it opens the folder of its first argument,
prints its port and serves loopback until its standard input closes. It shows that our code gets
along with the HTTP driver; users, TLS, quotas, replication and ON CLUSTER it does not have.
"""

import gzip
import json
import os
import re
import subprocess
import sys
import threading
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from io import BytesIO
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any, Final, NamedTuple
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

import httpx

FIELD_BYTES_MAX: Final = 131_072  # a server's http_max_field_value_size
URI_BYTES_MAX: Final = 1_048_576  # and its http_max_uri_size
STREAMED: Final = {"Native", "TabSeparated", "TSV", "CSV", "RowBinary", "JSONEachRow"}
IGNORED: Final = {
    "query",
    "database",
    "default_format",
    "compress",
    "decompress",
    "enable_http_compression",
    "query_id",
    "wait_end_of_query",
    "buffer_size",
    "send_progress_in_http_headers",
    "http_headers_progress_interval_ms",
    "client_protocol_version",
    "user",
    "password",
    "quota_key",
    "role",
}
STATUS_OF_CODE: Final = {60: 404, 81: 404, 47: 404, 497: 403, 241: 500, 159: 500}
LEADING: Final = re.compile(r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/|\()*(\w*)", re.DOTALL)
ASKS: Final = {"SELECT", "WITH"}
GIVES_ROWS: Final = {
    *ASKS,
    *("SHOW", "DESC", "DESCRIBE", "EXISTS", "EXPLAIN", "CHECK", "KILL", "BACKUP", "RESTORE"),
}
TRAILING_FORMAT: Final = re.compile(r"\bFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)
INSERT_OF_DATA: Final = re.compile(
    rb"(\s*INSERT\s+INTO\s.*?)\sFORMAT\s+(\w+)[ \t]*(?:\r?\n|$)", re.IGNORECASE | re.DOTALL
)
SETTING: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
ENOUGH_FOR_A_STATEMENT: Final = 65_536


class Refused(Exception):
    """The request cannot be answered; the text is what a server says."""


class Answered(NamedTuple):
    """A whole answer."""

    body: bytes
    format: str
    summary: dict[str, str]


class Request(NamedTuple):
    """What one request asks for."""

    query: bytes
    data: bytes
    fields: Mapping[str, str]

    @property
    def database(self) -> str:
        """The database that names without one are in."""
        return self.fields.get("database", "")

    @property
    def parameters(self) -> dict[str, str]:
        """What stands for {name:Type} in the query."""
        return {
            name.removeprefix("param_"): value
            for name, value in self.fields.items()
            if name.startswith("param_")
        }

    @property
    def settings(self) -> tuple[tuple[str, str], ...]:
        """The settings for this query."""
        return tuple(
            (name, value)
            for name, value in self.fields.items()
            if name not in IGNORED and not name.startswith(("param_", "session_", "_"))
        )


class Engine:
    """chDB on one folder; a connection serves one request at a time, with that one's settings."""

    def __init__(self, path: Path) -> None:
        # Why here: the process that only starts this one must not load it.
        chdb: Any = import_module("chdb")
        self._open: Callable[[], Any] = lambda: chdb.connect(str(path))
        self._keeper = self._open()
        self._idle: defaultdict[Any, list[Any]] = defaultdict(list)
        self.zone = self._keeper.query("select timezone()", "TSV").bytes().decode().strip()

    @contextmanager
    def connection(self, request: Request) -> Iterator[Any]:
        """Lend a connection with the request's database and settings; none survives an error."""
        key = (request.database, request.settings)
        try:
            connection = self._idle[key].pop()
        except IndexError:
            connection = self._prepared(request)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        if first_word(request.query) in {"SET", "USE"}:
            connection.close()
        else:
            self._idle[key].append(connection)

    def _prepared(self, request: Request) -> Any:
        connection = self._open()
        try:
            if request.database:
                connection.query(f"USE `{request.database}`", "TSV")
            for name, value in request.settings:
                connection.query(f"SET {setting(name)} = '{quoted(value)}'", "TSV")
        except BaseException:
            connection.close()
            raise
        return connection


class Server(ThreadingHTTPServer):
    """The server, with the faults that a test has ordered."""

    daemon_threads = True

    def __init__(self, engine: Engine) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.engine = engine
        self.faults: list[tuple[str, bytes]] = []

    def fault(self, when: str, query: bytes) -> bool:
        """Tell whether this query meets an ordered fault, which then is used up."""
        begin = query[:ENOUGH_FOR_A_STATEMENT].lstrip().replace(b"`", b"").lower()
        for fault in self.faults:
            if fault[0] == when and begin.startswith(fault[1].lower()):
                self.faults.remove(fault)
                return True
        return False


class Handler(BaseHTTPRequestHandler):
    """Answers the requests of one kept-alive connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    server: Server

    def handle_one_request(self) -> None:
        """Read a request line as long as a server takes it, and answer."""
        self.raw_requestline = self.rfile.readline(URI_BYTES_MAX)
        if not self.raw_requestline:
            self.close_connection = True
        elif self.parse_request():
            self._answer()
            self.wfile.flush()

    def log_message(self, *words: Any) -> None:
        """Say nothing."""

    def _answer(self) -> None:
        address = urlsplit(self.path)
        fields = dict(parse_qsl(address.query, keep_blank_values=True))
        body = self._body()
        if address.path == "/_fault":
            self.server.faults.append((fields["when"], fields["query"].encode()))
            self._send(200, b"")
        elif address.path == "/ping" or not (fields or body):
            self._send(200, b"Ok.\n")
        else:
            try:
                self._run(self._request(fields, body))
            except Exception as problem:  # noqa: BLE001 - whatever it is, the client is told
                self._refuse(str(problem))

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            body = b"".join(self._chunks())
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        return decoders()[self.headers.get("Content-Encoding", "identity")](body)

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _request(self, fields: dict[str, str], body: bytes) -> Request:
        if self.headers.get_content_type() == "multipart/form-data":
            fields |= form_fields(self.headers, body)
            body = b""
        if any(len(value.encode()) > FIELD_BYTES_MAX for value in fields.values()):
            raise Refused("Code: 1000. HTML Form Exception: Field value too long")
        given = fields.get("query", "").encode()
        return Request(given or body, body if given else b"", fields)

    def _run(self, request: Request) -> None:
        if self.server.fault("before", request.query):
            raise Refused("Code: 241. DB::Exception: Memory limit exceeded (ordered by a test)")
        inserting = INSERT_OF_DATA.match(request.query, 0, ENOUGH_FOR_A_STATEMENT)
        with self.server.engine.connection(request) as connection:
            if inserting:
                data = request.query[inserting.end() :] + request.data
                answer = insert(connection, inserting[1].decode(), inserting[2].decode(), data)
            else:
                found = self._ask(connection, request)
                if found is None:
                    return
                answer = found
        if self.server.fault("after", request.query):
            self.close_connection = True
            return
        words = {"X-ClickHouse-Summary": json.dumps(answer.summary)}
        if first_word(request.query) in GIVES_ROWS:
            words["X-ClickHouse-Format"] = answer.format
        self._send(200, answer.body, words)

    def _ask(self, connection: Any, request: Request) -> Answered | None:
        """Give a whole answer, or None when it was streamed."""
        query = (request.query + request.data).decode()
        trailing = TRAILING_FORMAT.search(query)
        format_ = trailing[1] if trailing else request.fields.get("default_format", "TabSeparated")
        if format_ not in STREAMED or first_word(request.query) not in ASKS:
            return answered(connection.query(query, format_, params=request.parameters), format_)
        stream = connection.send_query(query, format_, params=request.parameters)
        first = next(stream, None)
        second = next(stream, None) if first else None
        if second is None:
            return answered(first, format_)
        self._stream([first, second], stream, format_)
        return None

    def _stream(self, begun: list[Any], rest: Iterator[Any], format_: str) -> None:
        self._begin(200, {"Transfer-Encoding": "chunked", "X-ClickHouse-Format": format_})
        try:
            for block in begun:
                self._send_chunk(block.bytes())
            for block in rest:
                self._send_chunk(block.bytes())
        except RuntimeError as problem:
            self._send_chunk(error_text(str(problem)).encode())
            self.close_connection = True
            raise
        self.wfile.write(b"0\r\n\r\n")

    def _send_chunk(self, piece: bytes) -> None:
        if piece:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))

    def _refuse(self, problem: str) -> None:
        if self.close_connection:
            return  # the answer had begun: its end is missing, which tells the client
        text = error_text(problem)
        found = re.match(r"Code: (\d+)", text)
        code = int(found[1]) if found else 1000
        words = {"X-ClickHouse-Exception-Code": str(code)}
        self._send(STATUS_OF_CODE.get(code, 400), text.encode(), words)

    def _send(self, status: int, body: bytes, words: Mapping[str, str] | None = None) -> None:
        self._begin(status, {"Content-Length": str(len(body)), **(words or {})})
        self.wfile.write(body)

    def _begin(self, status: int, words: Mapping[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=UTF-8")
        self.send_header("X-ClickHouse-Server-Display-Name", "stand-in")
        self.send_header("X-ClickHouse-Timezone", self.server.engine.zone)
        self.send_header("X-ClickHouse-Query-Id", str(uuid4()))
        for name, value in words.items():
            self.send_header(name, value)
        self.end_headers()


def setting(name: str) -> str:
    """Give the name of a setting that can stand in a statement."""
    if not SETTING.fullmatch(name):
        raise Refused(f"Code: 115. DB::Exception: Unknown setting '{name}'")
    return name


def quoted(text: str) -> str:
    """Write text as it stands between quotes."""
    return text.replace("\\", "\\\\").replace("'", "\\'")


def first_word(query: bytes) -> str:
    """Give a statement's first word in capitals, comments and brackets skipped."""
    found = LEADING.match(query[:ENOUGH_FOR_A_STATEMENT].decode(errors="replace"))
    return found[1].upper() if found else ""


def answered(result: Any, format_: str) -> Answered:
    """Make an answer of a result of chDB, or of none."""
    if result is None:
        return Answered(b"", format_, {})
    summary = {
        "read_rows": str(result.rows_read()),
        "read_bytes": str(result.bytes_read()),
        "elapsed_ns": str(int(result.elapsed() * 1e9)),
    }
    return Answered(result.bytes() or b"", format_, summary)


def insert(connection: Any, statement: str, format_: str, data: bytes) -> Answered:
    """Insert a body of data; chDB takes it from a file."""
    with NamedTemporaryFile(suffix=".body") as file:
        file.write(data)
        file.flush()
        whole = f"{statement} FROM INFILE '{file.name}' FORMAT {format_}"
        summary = answered(connection.query(whole, "TSV"), format_).summary
    written = {"written_rows": summary["read_rows"], "written_bytes": summary["read_bytes"]}
    return Answered(b"", format_, {**summary, **written})


def form_fields(headers: Message, body: bytes) -> dict[str, str]:
    """Give the parts of a multipart form by name."""
    boundary = b"--" + str(headers.get_param("boundary")).encode()
    fields = {}
    for part in body.split(boundary)[1:-1]:
        head, _, value = part.partition(b"\r\n\r\n")
        named = re.search(rb'name="([^"]+)"', head)
        if named:
            fields[named[1].decode()] = value.removesuffix(b"\r\n").decode()
    return fields


def error_text(problem: str) -> str:
    """Give what a server says of a problem: what chDB says, from its code on."""
    return problem[max(problem.find("Code: "), 0) :].strip()


def decoders() -> dict[str, Callable[[bytes], bytes]]:
    """Give what undoes each Content-Encoding."""
    lz4, driver = import_module("lz4.frame"), import_module("clickhouse_connect.driver.compression")
    return {
        "identity": bytes,
        "gzip": gzip.decompress,
        "deflate": zlib.decompress,
        # Why a file: a body is one frame for each block, and decompress() stops after the first.
        "lz4": lambda body: lz4.LZ4FrameFile(BytesIO(body)).read(),
        "zstd": driver._zstd_decompress,
    }


class StandIn:
    """The stand-in as a test sees it: a process that is started and stopped."""

    def __init__(self, path: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=path,
        )
        port = pipe(self._process.stdout).readline().decode().strip()
        self.url = f"http://127.0.0.1:{port}"

    def refuse_next(self, query: str) -> None:
        """Answer the next statement that begins so with an error, without running it."""
        self._order("before", query)

    def lose_next_answer(self, query: str) -> None:
        """Run the next statement that begins so, and close the connection without an answer."""
        self._order("after", query)

    def stop(self) -> None:
        """End the process."""
        pipe(self._process.stdin).close()
        self._process.wait(timeout=20)
        pipe(self._process.stdout).close()

    def _order(self, when: str, query: str) -> None:
        httpx.get(f"{self.url}/_fault", params={"when": when, "query": query})


def pipe(found: IO[bytes] | None) -> IO[bytes]:
    """Give a pipe that was asked for."""
    assert found is not None
    return found


def main() -> None:
    """Serve until the process that started this one lets go."""
    server = Server(Engine(Path(sys.argv[1])))
    print(server.server_port, flush=True)  # noqa: T201 - this is how the port is told
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()
    os._exit(0)  # Why: chDB's own threads must not hold up the end


if __name__ == "__main__":
    main()
