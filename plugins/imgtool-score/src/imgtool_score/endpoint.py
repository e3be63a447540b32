"""A client of services that speak OpenAI's chat completions: a few calls at once, no library.

The key is taken from the environment variable IMGTOOL_API_KEY; nothing here keeps or shows it.
"""

from __future__ import annotations

import base64
import http.client
import io
import json
import os
import random
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imgtool.api import BadParams, EndpointDown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np

KEY = "IMGTOOL_API_KEY"
TRIES = 4
BUSY = frozenset({408, 409, 429, 500, 502, 503, 504})
LONGEST_WAIT_S = 30.0
MOST_BYTES = 16 << 20
MOST_TOLD, LONGEST_TOLD = 1 << 16, 200


class _Stay(urllib.request.HTTPRedirectHandler):
    """Goes where the user said: elsewhere the body would not come along, and the key would."""

    def redirect_request(self, *_: object) -> None:
        """Nothing to ask instead: the redirection is an error like any other status."""


@dataclass(frozen=True)
class Endpoint:
    """A service.

    Attributes
    ----------
    url : its base, such as `http://localhost:8000/v1`.
    served : the model that it is asked for.
    timeout_s : patience with one answer, from the request to its last byte.
    wait_s : longest pause before a busy service is asked again, drawn at random and doubled each
        time; a service that says how long to wait is obeyed, up to half a minute.
    spend : called before every request, repeated ones too; what it raises ends the call.
    """

    url: str
    served: str = ""
    timeout_s: float = 300.0
    wait_s: float = 1.0
    spend: Callable[[], None] | None = None

    def __post_init__(self) -> None:
        try:
            parts = urllib.parse.urlsplit(self.url)
        except ValueError:
            parts = urllib.parse.SplitResult("", "", "", "", "")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadParams(
                f"endpoint {self.url!r} is no http address", "Such as http://localhost:8000/v1"
            )
        if "@" in parts.netloc:
            # Addresses are shown, and kept with the scores.
            raise BadParams("the endpoint's address holds a password", f"Put a key into {KEY}")

    def answer(
        self,
        text: str,
        image: np.ndarray | None = None,
        most_tokens: int = 512,
        seed: int | None = None,
        system: str = "",
        schema: Mapping[str, Any] | None = None,
    ) -> str:
        """What the model says, greedily, or drawn by `seed`.

        Parameters
        ----------
        system : what it is told before.
        schema : JSON schema that the service holds the answer to; not every service can.

        Raises
        ------
        EndpointDown : the service does not answer, refuses, or answers something else.
        BadParams : the key cannot be sent.
        """
        body = self._body(text, image, most_tokens, seed)
        if system:
            body["messages"].insert(0, {"role": "system", "content": system})
        if schema is not None:
            form = {"name": "answer", "schema": schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
        try:
            content = self._call(body)["choices"][0]["message"]["content"]
        except (KeyError, IndexError, TypeError):
            raise EndpointDown(f"{self.url} answered no chat completion") from None
        return str(content or "").strip()

    def chances(self, text: str, image: np.ndarray) -> dict[str, float]:
        """Probability of each likely first token of the answer.

        Raises
        ------
        EndpointDown : as `answer`, or the service gives no log-probabilities.
        """
        import math

        body = self._body(text, image, 1, None) | {"logprobs": True, "top_logprobs": 20}
        try:
            first = self._call(body)["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
            found: dict[str, float] = {}
            for item in first:
                token = str(item["token"])
                found[token] = found.get(token, 0.0) + math.exp(float(item["logprob"]))
        except (KeyError, IndexError, TypeError, ValueError):
            raise EndpointDown(
                f"{self.url} gives no log-probabilities", "Ask a service that does, or name --model"
            ) from None
        return found

    def _body(
        self, text: str, image: np.ndarray | None, most_tokens: int, seed: int | None
    ) -> dict[str, Any]:
        content: list[dict[str, Any]] = [{"type": "text", "text": text}]
        if image is not None:
            content.insert(0, {"type": "image_url", "image_url": {"url": data_url(image)}})
        body: dict[str, Any] = {
            "model": self.served,
            "messages": [{"role": "user", "content": content}],
            "max_tokens": most_tokens,
            "temperature": 0.0 if seed is None else 0.7,
        }
        return body if seed is None else body | {"seed": seed}

    def _call(self, body: Mapping[str, Any]) -> Any:
        request = urllib.request.Request(  # noqa: S310 - the scheme is checked above
            f"{self.url.rstrip('/')}/chat/completions",
            json.dumps(body).encode(),
            {"Content-Type": "application/json", **_authorization()},
        )
        for tried in range(TRIES):
            last = tried == TRIES - 1
            least = 0.0
            if self.spend is not None:
                self.spend()
            try:
                return json.loads(self._read(request))
            except urllib.error.HTTPError as err:
                with err:
                    if err.code not in BUSY or last:
                        raise self._refused(err) from err
                    least = _asked_to_wait(err)
            except EndpointDown:
                raise
            except (OSError, http.client.HTTPException, ValueError) as err:
                if last:
                    raise EndpointDown(f"{self.url} does not answer: {err}") from err
            # Callers that were refused together do not come back together.
            drawn = random.uniform(0, self.wait_s * 2**tried)  # noqa: S311 - not for secrets
            time.sleep(min(max(least, drawn), LONGEST_WAIT_S))
        raise AssertionError("the last try returns or raises")

    def _read(self, request: urllib.request.Request) -> bytes:
        """The answer's body. A trickle, each byte of it in time, ends by the clock too."""
        end = time.monotonic() + self.timeout_s
        found = bytearray()
        opener = urllib.request.build_opener(_Stay)
        with opener.open(request, timeout=self.timeout_s) as reply:
            while part := reply.read1(1 << 16):
                found += part
                if time.monotonic() > end:
                    raise TimeoutError(f"no whole answer in {self.timeout_s:g} s")
                if len(found) > MOST_BYTES:
                    raise EndpointDown(f"{self.url} answered with more than {MOST_BYTES} bytes")
        return bytes(found)

    def _refused(self, err: urllib.error.HTTPError) -> EndpointDown:
        hint = f"Put the key into {KEY}" if err.code in (401, 403) else ""
        return EndpointDown(f"{self.url} answered with status {err.code}{_told(err)}", hint)


def _told(err: urllib.error.HTTPError) -> str:
    """What a refusal says of itself, on the same line; empty: nothing that can be read."""
    try:
        found = json.loads(err.read(MOST_TOLD))
    except (OSError, http.client.HTTPException, ValueError, RecursionError):
        return ""
    for name in ("error", "message"):
        found = found.get(name, found) if isinstance(found, dict) else found
    if not isinstance(found, str):
        return ""
    line = "".join(letter for letter in " ".join(found.split()) if letter.isprintable())
    key = _key()
    return f": {(line.replace(key, '…') if key else line)[:LONGEST_TOLD]}"


def _asked_to_wait(err: urllib.error.HTTPError) -> float:
    """Seconds of the answer's Retry-After; 0 where it has none, or a date."""
    text = str(err.headers.get("Retry-After", "")).strip()
    return float(text) if text.isdecimal() else 0.0


def data_url(image: np.ndarray) -> str:
    """[H, W, 3] uint8 as a `data:` address holding a PNG."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "png")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _key() -> str:
    return os.environ.get(KEY, "").strip()


def _authorization() -> dict[str, str]:
    key = _key()
    if not (key.isascii() and key.isprintable()):
        # Python's own complaint about such a header quotes it whole.
        raise BadParams(f"the key in {KEY} holds signs that no key has", "Copy it once more")
    return {"Authorization": f"Bearer {key}"} if key else {}
