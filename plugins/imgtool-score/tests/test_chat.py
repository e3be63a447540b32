"""Language models behind the component kind `chat`: what they are sent, and what goes wrong."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from chat_server import ChatServer

from imgtool.api import EndpointDown, ModelUnusable
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
    with ChatServer(lambda text, picture: gone.wait(30) and "late") as server:
        with pytest.raises(EndpointDown, match="does not answer"):
            patient(server, 0.1).answer("hello")
        gone.set()
    assert len(server.requests) == 4


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
