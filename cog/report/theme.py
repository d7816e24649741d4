"""Colours, sizes and font of charts; colour-blind people can tell the colours apart."""

from __future__ import annotations

from dataclasses import dataclass

SLOTS = 8


@dataclass(frozen=True)
class Look:
    """Colours, sizes and legend of a chart; width and height are in pixels.

    `width`: "container" fills the width that there is. `names`: models that stand out, in the order
    of their slots, for a legend in the chart; a page has one legend for all charts and gives none.
    """

    ground: str
    text: str
    quiet: str
    line: str
    series: tuple[str, ...]
    width: int | str = "container"
    height: int = 340
    names: tuple[str, ...] = ()
    font: str = "system-ui, sans-serif"


PAPER = Look(
    "#ffffff", "#1c2430", "#5a6572", "#d5dae1",
    ("#0072b2", "#d55e00", "#00805c", "#b4508f", "#2f8fd8", "#a87400", "#6a3d9a", "#7a5c3a"),
    width=560, height=340, font="Liberation Sans, Arial, sans-serif",
)  # fmt: skip
PAGE = Look(
    "var(--ground)", "var(--text)", "var(--quiet)", "var(--line)",
    tuple(f"var(--series-{slot})" for slot in range(1, SLOTS + 1)),
)  # fmt: skip
