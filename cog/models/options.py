"""How a model is to be loaded: one value from the command line to the file that loads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cog.errors import CogError


@dataclass(frozen=True)
class LoadOptions:
    """The options of `cog.load_model` that decide the features; it says what each means."""

    weights: Path | None = None
    weights_key: str | None = None
    pretrained: bool = True
    pool: str | None = None
    official_quirks: bool = False
    trust_checkpoint: bool = False
    download: bool = True
    """False only where a model is described: what is not on this machine raises `NotHere`"""

    def __post_init__(self) -> None:
        """Refuse weights for an untrained network."""
        if self.weights is not None and not self.pretrained:
            raise CogError(
                f"both a weights file ({self.weights}) and an untrained network are asked for",
                "leave out --weights or --no-pretrained",
            )
        if self.weights_key and not self.pretrained:
            raise CogError(
                f"both weights ({self.weights_key}) and an untrained network are asked for",
                "leave out --weights-key or --no-pretrained",
            )
