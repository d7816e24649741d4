"""Fixtures of the tests of models."""

from __future__ import annotations

import threading
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
def offline(tmp_path, monkeypatch) -> str:
    """The address of a hub at a port where nobody listens."""
    with Hub() as server:
        url = server.url
    point_to(url, tmp_path / "hub-cache", monkeypatch)
    return url
