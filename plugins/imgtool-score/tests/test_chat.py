"""Language models behind the component kind `chat`: what they are sent, and what goes wrong."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from chat_server import ChatServer

from imgtool.api import BadParams, EndpointDown, ModelUnusable
from imgtool.runtime.context import Runtime
from imgtool.runtime.shared import Shared
from imgtool_score import endpoint as client
from imgtool_score.chatting import RemoteChat, looking, transformers
from imgtool_score.endpoint import Endpoint
from imgtool_score.tiny import save_git, save_llm

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def runtime(tmp_path: Path, registry: Any) -> Iterator[Runtime]:
    """A runtime with a journal of its own, which lets go of its models."""
    made = Runtime(device="cpu", shared=Shared(), registry=registry).for_stage()
    made.journal = tmp_path / "journal"
    yield made
    made.release()


def patient(server: ChatServer, seconds: float = 20.0) -> Endpoint:
    return Endpoint(server.url, "mind", timeout_s=seconds, wait_s=0.001)


def test_instruction_schema_and_seed_are_sent(runtime: Runtime) -> None:
    schema = {"type": "object"}
    with ChatServer(lambda text, picture: "said") as server:
        chat = RemoteChat(patient(server), runtime)
        assert chat.say("hello", "be kind", 9, 7, schema) == "said"
    sent = server.requests[0]
    assert sent["messages"][0] == {"role": "system", "content": "be kind"}
    assert (sent["max_tokens"], sent["seed"], sent["model"]) == (9, 7, "mind")
    assert sent["response_format"]["json_schema"]["schema"] == schema


def test_call_that_was_answered_is_never_made_again(runtime: Runtime) -> None:
    with ChatServer(lambda text, picture: f"about {text}") as server:
        chat = RemoteChat(patient(server), runtime)
        assert [chat.say("a"), chat.say("a"), chat.say("a", seed=1)] == ["about a"] * 3
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "trouble",
    [
        (429, "slow down"),
        (500, "broken"),
        (503, "busy"),
        b"{not json",
        b"",
    ],
)
def test_passing_trouble_is_tried_again(trouble: Any) -> None:
    answers = iter([trouble, trouble, "well"])
    with ChatServer(lambda text, picture: next(answers)) as server:
        assert patient(server).answer("hello") == "well"


@pytest.mark.parametrize("trouble", [(500, "broken"), b"<html>"])
def test_lasting_trouble_ends_after_four_calls(trouble: Any) -> None:
    with ChatServer(lambda text, picture: trouble) as server:
        with pytest.raises(EndpointDown):
            patient(server).answer("hello")
        assert len(server.requests) == 4


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_refusal_is_final(status: int) -> None:
    with ChatServer(lambda text, picture: (status, "no")) as server:
        with pytest.raises(EndpointDown, match=f"status {status}"):
            patient(server).answer("hello")
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ('{"error": {"message": "too many\\n tokens"}}', "status 400: too many tokens$"),
        ('{"error": "no such model"}', "status 400: no such model$"),
        ('{"object": "error", "message": "too long"}', "status 400: too long$"),
        ('{"error": {"message": "key a-made-up-word is bad"}}', "status 400: key … is bad$"),
        ('{"error": {"code": 7}}', "status 400$"),
        ("[[", "status 400$"),
    ],
)
def test_refusal_says_what_the_service_says_but_no_key(
    body: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMGTOOL_API_KEY", "a-made-up-word")
    with (
        ChatServer(lambda text, picture: (400, body)) as server,
        pytest.raises(EndpointDown, match=told),
    ):
        patient(server).answer("hello")


def test_redirection_takes_the_key_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGTOOL_API_KEY", "a-made-up-word")
    with ChatServer(lambda text, picture: "well") as other:
        place = {"Location": f"{other.url}/chat/completions"}
        with (
            ChatServer(lambda text, picture: (302, "", place)) as server,
            pytest.raises(EndpointDown, match="status 302"),
        ):
            patient(server).answer("hello")
    assert other.keys == []


@pytest.mark.parametrize("body", [b"[]", b'{"choices": []}', b'"text"', b'{"choices": [{}]}'])
def test_answer_of_another_kind_is_no_completion(body: bytes) -> None:
    with (
        ChatServer(lambda text, picture: body) as server,
        pytest.raises(EndpointDown, match="no chat completion"),
    ):
        patient(server).answer("hello")


def test_service_that_says_how_long_to_wait_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(client.time, "sleep", pauses.append)
    answers = iter([(429, "", {"Retry-After": "7"}), (429, "", {"Retry-After": "900"}), "well"])
    with ChatServer(lambda text, picture: next(answers)) as server:
        assert patient(server).answer("hello") == "well"
    assert pauses == [7.0, 30.0]


def test_hanging_service_is_left() -> None:
    gone = threading.Event()
    calls: list[None] = []
    with ChatServer(lambda text, picture: gone.wait(30) and "late") as server:
        service = replace(patient(server, 0.1), spend=lambda: calls.append(None))
        with pytest.raises(EndpointDown, match="does not answer"):
            service.answer("hello")
        gone.set()
    assert len(calls) == 4


def test_answer_without_end_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "MOST_BYTES", 1000)
    with ChatServer(lambda text, picture: b" " * 100_000) as server:
        with pytest.raises(EndpointDown, match="more than 1000 bytes"):
            patient(server).answer("hello")
        assert len(server.requests) == 1


def test_line_end_after_the_key_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGTOOL_API_KEY", "a-made-up-word\n")
    with ChatServer(lambda text, picture: "well") as server:
        patient(server).answer("hello")
    assert server.keys == ["Bearer a-made-up-word"]


@pytest.mark.parametrize("key", ["made-up\nword", "made-up-w\u00f6rd"])
def test_key_that_cannot_be_sent_is_refused_and_not_shown(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMGTOOL_API_KEY", key)
    with pytest.raises(BadParams, match="IMGTOOL_API_KEY") as caught:
        Endpoint("http://127.0.0.1:9/v1").answer("hello")
    assert "made-up" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize("url", ["ftp://host/v1", "http://", "http://[::1/v1", "host:8000"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(BadParams, match="no http address"):
        Endpoint(url)


def test_password_in_an_address_is_refused_and_not_shown() -> None:
    with pytest.raises(BadParams, match="holds a password") as caught:
        Endpoint("http://me:secret@host/v1")
    assert "secret" not in f"{caught.value} {caught.value.hint}"


def test_trickle_is_left_though_each_byte_comes_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "TRIES", 1)
    with (
        ChatServer(lambda text, picture: [b" "] * 200) as server,
        pytest.raises(EndpointDown, match="no whole answer"),
    ):
        patient(server, 0.3).answer("hello")


def test_local_model_answers_by_seed_and_says_what_is_too_long(
    runtime: Runtime, tmp_path: Path
) -> None:
    chat = transformers(runtime, str(save_llm(tmp_path / "llm")), "")
    greedy = chat.say("hello", most_tokens=6)
    assert greedy == chat.say("hello", most_tokens=6)
    drawn = {chat.say("hello", most_tokens=6, seed=seed) for seed in range(4)}
    assert len(drawn) > 1
    with pytest.raises(ValueError, match="more than the 4096"):
        chat.say("hello" * 1000)


def test_local_model_that_is_none_is_refused(runtime: Runtime, tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable):
        transformers(runtime, str(tmp_path / "nothing"), "")


def test_a_picture_goes_with_the_question_and_tells_calls_apart(runtime: Runtime) -> None:
    red, blue = (np.full((2, 2, 3), shade, np.uint8) for shade in (200, 20))
    with ChatServer(lambda text, picture: f"{picture.getpixel((0, 0))[0]}") as server:
        chat = RemoteChat(patient(server), runtime)
        assert [chat.say("a", image=one) for one in (red, blue, red)] == ["200", "20", "200"]
    assert len(server.requests) == 2


def test_who_looks_needs_a_picture_and_who_reads_takes_none(
    runtime: Runtime, tmp_path: Path
) -> None:
    image = np.full((8, 8, 3), 90, np.uint8)
    eyes = looking(runtime, str(save_git(tmp_path / "git")), "")
    assert isinstance(eyes.say("", most_tokens=2, image=image), str)
    with pytest.raises(ValueError, match="needs a picture"):
        eyes.say("what is this?")
    reader = transformers(runtime, str(save_llm(tmp_path / "llm")), "")
    with pytest.raises(ValueError, match="cannot look"):
        reader.say("what is this?", image=image)
