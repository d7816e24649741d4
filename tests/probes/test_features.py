"""Features as they were stored, and the unit rows that are taken from them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from cog.probes.features import unit_features
from tests.support.probe_data import clusters, features, tensors


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_unit_rows(dtype):
    x = np.array([[3, 4], [0, 0], [1e-4, 0], [6e4, 6e4]], dtype)
    x.flags.writeable = False
    rows, labels = unit_features(x, np.arange(4), "cpu").take(torch.arange(4))
    assert rows.dtype == torch.float32
    half = math.sqrt(0.5)
    expected = torch.tensor([[0.6, 0.8, 1], [0, 0, 1], [1, 0, 1], [half, half, 1]])
    torch.testing.assert_close(rows, expected)
    assert labels.tolist() == [0, 1, 2, 3]


def test_the_array_is_read_where_it_lies():
    data = clusters()
    part = features(data)
    assert part.source.data_ptr() == data.train_x.ctypes.data
    assert part.only(np.array([5])).source is part.source


def test_only_some_rows():
    data = clusters()
    x, y = tensors(data)
    part = features(data).only(np.array([7, 3, 11]))
    assert len(part) == 3
    rows, labels = part.take(torch.tensor([2, 0]))
    torch.testing.assert_close(rows, x[[11, 7]])
    assert labels.tolist() == y[[11, 7]].tolist()


@pytest.mark.parametrize("size", [1, 50, 60, 1000])
def test_blocks_are_all_rows_in_order(monkeypatch, size):
    monkeypatch.setattr("cog.probes.features.CPU_BLOCK", size)
    data = clusters()
    x, y = tensors(data)
    blocks = list(features(data).blocks(n_classes=6))
    torch.testing.assert_close(torch.cat([rows for rows, _ in blocks]), x)
    assert torch.cat([labels for _, labels in blocks]).tolist() == y.tolist()
    assert max(len(labels) for _, labels in blocks) == min(size, 120)
