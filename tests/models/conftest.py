"""Fixtures of the tests of models."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from tests.support.hub_server import Hub, point_to


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Iterator[Hub]:
    """A Hugging Face hub on this machine, empty."""
    with Hub() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        point_to(server.url, tmp_path / "hub-cache", monkeypatch)
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def pauses(monkeypatch) -> list[float]:
    """The pauses that this thread asks for, in seconds; none is made."""
    asked: list[float] = []
    sleep, thread = time.sleep, threading.current_thread()

    def pause(seconds: float) -> None:
        if threading.current_thread() is thread:
            asked.append(seconds)
        else:
            sleep(seconds)

    monkeypatch.setattr(time, "sleep", pause)
    return asked


@pytest.fixture
def offline(tmp_path, monkeypatch) -> str:
    """The address of a hub at a port where nobody listens."""
    with Hub() as server:
        url = server.url
    point_to(url, tmp_path / "hub-cache", monkeypatch)
    return url
