"""A proxy like JupyterHub's: it shows another server of this machine below a path, which it strips."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PREFIX = "/user/ann/proxy/8765"


@contextlib.contextmanager
def stripping_proxy(port: int) -> Iterator[tuple[str, list[str]]]:
    """Show the server at a port; yields the address, and the paths outside of it that were asked for."""
    outside: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if not self.path.startswith(PREFIX + "/"):
                outside.append(self.path)
                self.send_error(404)
                return
            length = int(self.headers.get("Content-Length", 0))
            ahead = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            ahead.request(self.command, self.path.removeprefix(PREFIX), self.rfile.read(length), dict(self.headers))
            answer = ahead.getresponse()
            body = answer.read()
            self.send_response(answer.status)
            for key, value in answer.getheaders():
                if key.lower() not in ("transfer-encoding", "content-length", "connection"):
                    self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            ahead.close()

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}{PREFIX}/", outside
    server.shutdown()
    server.server_close()
