"""Asking the server as a browser does, or as an attacker would."""

from __future__ import annotations

import http.client
import json
from typing import Any

from friedel.web.security import Access


def ask(
    access: Access,
    path: str,
    *,
    method: str = "GET",
    body: Any = None,
    headers: dict[str, str] | None = None,
    leave_out: tuple[str, ...] = (),
) -> tuple[int, dict[str, str], bytes]:
    """Send one request with the cookie and the origin of the page, changed by ``headers`` and ``leave_out``."""
    said = {
        "Host": f"127.0.0.1:{access.port}",
        "Origin": f"http://127.0.0.1:{access.port}",
        "Cookie": f"{access.cookie_name}={access.session}",
        "Content-Type": "application/json",
        **(headers or {}),
    }
    said = {key: value for key, value in said.items() if key not in leave_out}
    connection = http.client.HTTPConnection("127.0.0.1", access.port, timeout=20)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        if "Transfer-Encoding" not in said:
            said.setdefault("Content-Length", str(len(data)))
        for key, value in said.items():
            connection.putheader(key, value)
        connection.endheaders(data)
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def error_of(answer: tuple[int, dict[str, str], bytes]) -> str:
    """Sentence of an answer that is an error."""
    return str(json.loads(answer[2])["error"])
