"""A chat service of the kind that OpenAI's clients talk to, in this process, on this machine."""

from __future__ import annotations

import base64
import io
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class ChatServer:
    """Answers each request with what `reply(text, picture)` gives, and remembers the requests.

    A text is said; a number and a text are a status and its body; a mapping holds the
    log-probabilities of first tokens.
    """

    reply: Callable[[str, Image.Image | None], Any]
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)

    def __enter__(self) -> ChatServer:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.requests.append(body)
                outer.keys.append(self.headers.get("Authorization"))
                status, data = outer._answer(self.path, body)
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                """Say nothing on stderr."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Base of its address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    @property
    def texts(self) -> list[str]:
        """The text of each request."""
        return [parts(body)[0] for body in self.requests]

    def _answer(self, path: str, body: dict[str, Any]) -> tuple[int, bytes]:
        if path != "/v1/chat/completions":
            return 404, b"{}"
        made = self.reply(*parts(body))
        if isinstance(made, tuple):
            return made[0], made[1].encode()
        choice: dict[str, Any] = {"message": {"content": made if isinstance(made, str) else "yes"}}
        if isinstance(made, dict) and body.get("logprobs"):
            top = [{"token": token, "logprob": value} for token, value in made.items()]
            choice["logprobs"] = {"content": [{"top_logprobs": top}]}
        return 200, json.dumps({"choices": [choice]}).encode()


def parts(body: dict[str, Any]) -> tuple[str, Image.Image | None]:
    """Text and picture of a request."""
    text, picture = "", None
    for part in body["messages"][0]["content"]:
        if part["type"] == "text":
            text = part["text"]
        else:
            data = part["image_url"]["url"].removeprefix("data:image/png;base64,")
            picture = Image.open(io.BytesIO(base64.b64decode(data)))
    return text, picture
