"""An HTTP proxy on loopback, in a process of its own, that loses an answer, or headers of requests.

In the process of a test it would never be reached: delta-rs holds Python's lock while it waits for some answers.
"""

from __future__ import annotations

import http.client
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit


@contextmanager
def lossy_proxy(
    endpoint: str, *, lose: str = "", flag: Path | None = None, drop: str = "", port: int = 0
) -> Iterator[str]:
    """Forward requests to `endpoint`; gives the URL of the proxy.

    Args:
        endpoint: URL of the server.
        lose: The answer to the first PUT whose path holds this text is lost; empty: none.
        flag: File that is made when it was.
        drop: Headers that are not forwarded, comma-separated.
        port: Where to listen; 0: any free port.
    """
    command = [sys.executable, "-m", "tests.storage.lossy_proxy", endpoint, lose, str(flag), drop, str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


def serve(endpoint: str, lose: str, flag: Path, drop: list[str], port: int) -> None:
    """Forward requests for ever; print the port first."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            connection = http.client.HTTPConnection(urlsplit(endpoint).netloc)
            headers = {name: value for name, value in self.headers.items() if name.lower() not in drop}
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            data = answer.read()
            connection.close()
            if lose and self.command == "PUT" and lose in self.path and not flag.exists():
                flag.touch()
                self.close_connection = True
                return
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                    self.send_header(name, value)
            length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(data))
            self.send_header("Content-Length", length or "0")
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _forward  # noqa: N815

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        print(server.server_port, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4].split(","), int(sys.argv[5]))
