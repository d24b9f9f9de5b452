"""The page of a run in progress, served on this machine alone."""

import socket
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock

from netadapt.errors import UserError
from netadapt.report.page.html import page

HOST = "127.0.0.1"
MARKED = ("*.json", "*.jsonl", "*.csv", "*.npz")


def serve(paths: Sequence[Path], port: int, tell: Callable[[str], None]) -> None:
    """Serve the page of ``paths`` until interrupted; a browser that has it open reloads it.

    Args:
        paths: as of ``write_page``.
        port: 0 for any free one.
        tell: called with the page's address once it can be opened.

    Raises:
        UserError: the page cannot be made, or the port cannot be used.
    """
    page(paths, watch=True)  # what cannot be shown is refused before anything is served
    try:
        server = PageServer(paths, port)
    except OSError as error:
        raise UserError(f"cannot serve on port {port}: {error.strerror or error}") from error
    with server:
        tell(server.address)
        server.serve_forever(poll_interval=0.2)


class PageServer(ThreadingHTTPServer):
    """Answers ``/``, the page, and ``/version``, which changes when the run's files do."""

    daemon_threads = True

    def __init__(self, paths: Sequence[Path], port: int) -> None:
        super().__init__((HOST, port), _Handler)
        self._paths = paths
        self._lock = Lock()
        self._version = ""
        self._page = b""

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self.server_port}/"

    def server_bind(self) -> None:
        """Bind without the look-up of a name that the base class makes."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = HOST, self.socket.getsockname()[1]

    def version(self) -> str:
        """Names and times of the files that the page is made of."""
        files = sorted(file for path in self._paths for mark in MARKED for file in path.glob(mark))
        stats = [(file, file.stat()) for file in files if file.exists()]
        return " ".join(f"{file.name}:{stat.st_mtime_ns}:{stat.st_size}" for file, stat in stats)

    def current(self) -> bytes:
        """The page of what the files hold now."""
        with self._lock:
            version = self.version()
            if version != self._version:
                self._page = page(self._paths, watch=True).encode()
                self._version = version
            return self._page


class _Handler(BaseHTTPRequestHandler):
    server: PageServer

    def do_GET(self) -> None:
        """Answer requests to this machine's own names only: no other site may read the page."""
        host = self.headers.get("Host", "").rpartition(":")[0]
        if host not in (HOST, "localhost"):
            self._answer(403, "text/plain", b"this page is served to this machine alone\n")
        elif self.path == "/version":
            self._answer(200, "text/plain", self.server.version().encode())
        elif self.path == "/":
            try:
                self._answer(200, "text/html", self.server.current())
            except UserError as error:
                self._answer(503, "text/plain", f"{error}\n".encode())
        else:
            self._answer(404, "text/plain", b"not found\n")

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Do not log requests."""
