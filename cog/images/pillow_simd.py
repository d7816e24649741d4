"""Whether the installed Pillow is Pillow-SIMD, a fork that resizes to slightly other pixels."""

from __future__ import annotations

from importlib import metadata

import PIL

PILLOW_SIMD = "pillow-simd"


def pillow_simd() -> str:
    """The version of Pillow-SIMD that `import PIL` gives; empty if that gives Pillow itself.

    Both may be installed, one over the other: the version in the code says whose code it is. The
    fork numbers its releases as Pillow's with .post behind, which Pillow itself does not use.
    """
    found: str = PIL.__version__
    try:
        is_fork = metadata.version(PILLOW_SIMD) == found
    except metadata.PackageNotFoundError:
        is_fork = False
    return found if is_fork or ".post" in found else ""


def decoder_of_pixels(decoder: str) -> str:
    """What fingerprints call a decoder that resizes too: `pillow-simd` for `pillow`."""
    return PILLOW_SIMD if decoder == "pillow" and pillow_simd() else decoder


def simd_note() -> str:
    """What the user should know where Pillow resizes; empty unless it is Pillow-SIMD."""
    found = pillow_simd()
    return found and (
        f"Pillow-SIMD {found} is in the place of Pillow and resizes to slightly other pixels: "
        "features say so, and do not mix with those of Pillow"
    )
