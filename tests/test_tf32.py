"""The switches of TF32: both sets of them say the same inside, and are as before outside."""

from __future__ import annotations

import pytest
import torch

from cog.tf32 import tf32

NEWER = hasattr(torch.backends, "fp32_precision")


def older():
    return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32


def newer():
    if not NEWER:
        return None
    cuda, cudnn, onednn = torch.backends.cuda, torch.backends.cudnn, torch.backends.mkldnn
    parts = cuda.matmul, cudnn.conv, cudnn.rnn, onednn.matmul, onednn.conv
    return [part.fp32_precision for part in parts]


@pytest.fixture(autouse=True)
def _as_before():
    before, (matrices, convolutions) = newer(), older()
    yield
    torch.set_float32_matmul_precision(matrices)
    torch.backends.cudnn.allow_tf32 = convolutions
    if NEWER:
        torch.backends.cuda.matmul.fp32_precision = before[0]
        torch.backends.mkldnn.matmul.fp32_precision = before[3]
        assert newer() == before


@pytest.mark.parametrize("matrices", [False, True])
@pytest.mark.parametrize("convolutions", [False, True])
def test_inside_both_sets_say_what_was_asked_for(matrices, convolutions):
    before = older(), newer()
    with tf32(matrices=matrices, convolutions=convolutions):
        assert older() == ("high" if matrices else "highest", convolutions)
        if NEWER:
            said = [word == "tf32" for word in newer()]
            assert said == [matrices, convolutions, convolutions, False, False]
    assert (older(), newer()) == before


@pytest.mark.parametrize("choice", ["high", "medium"])
def test_what_a_training_script_chose_comes_back_even_after_an_error(choice):
    torch.set_float32_matmul_precision(choice)
    before = older(), newer()
    switches = tf32(matrices=False, convolutions=False)
    with pytest.raises(ZeroDivisionError), switches:
        _ = 1 / 0
    assert (older(), newer()) == before


@pytest.mark.skipif(not NEWER, reason="this torch has the older switches alone")
def test_newer_switches_of_a_training_script_come_back():
    """torch then raises an error where the older ones are read, so they cannot be asked."""
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    before = newer()
    with pytest.raises(RuntimeError, match="mix"):
        older()
    with tf32(matrices=False, convolutions=False):
        assert older() == ("highest", False)
    assert newer() == before


@pytest.mark.skipif(not NEWER, reason="this torch has the older switches alone")
def test_a_switch_for_everything_does_not_reach_inside():
    torch.backends.fp32_precision = "tf32"
    try:
        with tf32(matrices=False, convolutions=False):
            assert set(newer()) == {"ieee"}
    finally:
        torch.backends.fp32_precision = "none"
