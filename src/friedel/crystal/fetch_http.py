"""Asking a web service for JSON: patient with servers that are busy, and strict about what comes back."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException, HTTPMessage
from importlib.metadata import version
from typing import IO, Any

from friedel.core.errors import FetchError

MAX_BYTES = 64 * 2**20
#: Answers of a server that may go away by themselves.
_PASSING = (408, 425, 429, 500, 502, 503, 504)
_LONGEST_WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """How patient to be.

    Parameters
    ----------
    timeout_s
        Seconds without an answer after which a request has failed.
    tries
        How often a request is made before its failure counts.
    first_wait_s
        Seconds between the first two tries, doubled each time; a server's own Retry-After comes first.
    """

    timeout_s: float = 30.0
    tries: int = 4
    first_wait_s: float = 1.0


def get_json(
    url: str,
    parameters: Mapping[str, str] | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    options: HttpOptions | None = None,
) -> dict[str, Any]:
    """Get a JSON object from an address.

    Raises
    ------
    FetchError
        If the address is none of the web, the server cannot be reached, refuses, or answers with anything but JSON.
    """
    options = options or HttpOptions()
    if parameters:
        url = f"{url}{'&' if '?' in url else '?'}{urllib.parse.urlencode(parameters)}"
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise FetchError(f"{url!r} is not an address of the web. It should begin with https://.")
    agent = {"User-Agent": f"friedel/{version('friedel')}", "Accept": "application/json, application/vnd.api+json"}
    place = url.partition("?")[0]
    request = urllib.request.Request(url, headers={**agent, **(headers or {})})
    for left in reversed(range(options.tries)):
        try:
            return _parsed(place, _body(request, options.timeout_s))
        except urllib.error.HTTPError as error:
            if error.code not in _PASSING or not left:
                raise FetchError(_refusal(place, error)) from None
            wait_s = _retry_after(error.headers)
        except (OSError, HTTPException) as error:
            if not left:
                reason = getattr(error, "reason", None) or error or type(error).__name__
                raise FetchError(
                    f"{place}: no answer after {options.tries} tries ({reason}). Check the address and the network."
                ) from None
            wait_s = None
        backoff_s = options.first_wait_s * 2 ** (options.tries - 1 - left)
        time.sleep(min(backoff_s if wait_s is None else wait_s, _LONGEST_WAIT_S))
    raise FetchError(f"{place}: HttpOptions.tries must be 1 or more, got {options.tries}.")


class _SameHost(urllib.request.HTTPRedirectHandler):
    """Follow a server to another of its addresses, and take no key to another host."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        """Refuse another host, and a step from https to http."""
        old, new = urllib.parse.urlsplit(req.full_url), urllib.parse.urlsplit(newurl)
        if old.hostname != new.hostname or (old.scheme == "https" and new.scheme != "https"):
            raise FetchError(
                f"{req.full_url} sends on to {new.scheme}://{new.netloc}. Give that address if you trust it."
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _body(request: urllib.request.Request, timeout_s: float) -> bytes:
    with urllib.request.build_opener(_SameHost).open(request, timeout=timeout_s) as answer:
        body: bytes = answer.read(MAX_BYTES + 1)
    if len(body) > MAX_BYTES:
        raise FetchError(f"{request.host}: the answer is larger than {MAX_BYTES} bytes. Ask for fewer structures.")
    return body


def _parsed(url: str, body: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(body)
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        raise FetchError(f"{url}: the answer is no JSON object, but begins with {body[:40]!r}. Is the address right?")
    return parsed


def _refusal(url: str, error: urllib.error.HTTPError) -> str:
    """Say what the server said: JSON:API's ``errors``, or the ``detail`` or ``message`` of others."""
    try:
        said = json.loads(error.read(10_000))
        parts = [entry.get("detail") or entry.get("title") for entry in said.get("errors", [])]
        text = "; ".join(str(part) for part in parts) or str(said.get("detail") or said.get("message") or "")
    except (ValueError, AttributeError, OSError):
        text = ""
    return f"{url}: the server answers {error.code} {error.reason}{f' ({text})' if text else ''}."


def _retry_after(headers: Message) -> float | None:
    """Seconds that the server asks to wait, if it says so in seconds."""
    text = (headers.get("Retry-After") or "").strip()
    return float(text) if text.isdecimal() else None
