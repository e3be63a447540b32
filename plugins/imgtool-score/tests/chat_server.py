"""A chat service of the kind that OpenAI's clients talk to, in this process, on this machine."""

from __future__ import annotations

import base64
import contextlib
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

    A text is said; a number and a text are a status and its body, with a mapping of headers where
    there is a third; bytes are the whole body; a list of bytes are its pieces, a pause after each;
    a mapping holds the log-probabilities of first tokens.
    """

    reply: Callable[[str, Image.Image | None], Any]
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    leaving: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> ChatServer:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.requests.append(body)
                outer.keys.append(self.headers.get("Authorization"))
                status, pieces, headers = outer._answer(self.path, body)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(sum(map(len, pieces))))
                self.end_headers()
                with contextlib.suppress(ConnectionError):  # the caller has had enough
                    for piece in pieces:
                        self.wfile.write(piece)
                        outer.leaving.wait(0.05 if len(pieces) > 1 else 0)

            def log_message(self, *_: object) -> None:
                """Say nothing on stderr."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.leaving.set()
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

    def _answer(self, path: str, body: dict[str, Any]) -> tuple[int, list[bytes], dict[str, str]]:
        if path != "/v1/chat/completions":
            return 404, [b"{}"], {}
        made = self.reply(*parts(body))
        if isinstance(made, tuple):
            return made[0], [made[1].encode()], dict(*made[2:])
        if isinstance(made, bytes | list):
            return 200, made if isinstance(made, list) else [made], {}
        choice: dict[str, Any] = {"message": {"content": made if isinstance(made, str) else "yes"}}
        if isinstance(made, dict) and body.get("logprobs"):
            top = [{"token": token, "logprob": value} for token, value in made.items()]
            choice["logprobs"] = {"content": [{"top_logprobs": top}]}
        return 200, [json.dumps({"choices": [choice]}).encode()], {}


def parts(body: dict[str, Any]) -> tuple[str, Image.Image | None]:
    """Text and picture of a request."""
    text, picture = "", None
    for part in body["messages"][-1]["content"]:
        if part["type"] == "text":
            text = part["text"]
        else:
            data = part["image_url"]["url"].removeprefix("data:image/png;base64,")
            picture = Image.open(io.BytesIO(base64.b64decode(data)))
    return text, picture
