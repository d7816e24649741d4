"""A Dockerfile and its .dockerignore, read for tests: no daemon is needed."""

from __future__ import annotations

import re
from pathlib import Path


class Dockerfile:
    """The instructions of each stage, in their order."""

    def __init__(self, folder: Path) -> None:
        text = (folder / "Dockerfile").read_text(encoding="utf-8")
        text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
        lines = [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]
        self.lines = [(word, " ".join(rest.split())) for word, rest in lines]
        self.ignored = (folder / ".dockerignore").read_text(encoding="utf-8").split("\n")

    def stages(self) -> list[list[tuple[str, str]]]:
        """The instructions from each FROM to the next."""
        starts = [at for at, (word, _) in enumerate(self.lines) if word == "FROM"]
        ends = [*starts[1:], len(self.lines)]
        return [self.lines[start:end] for start, end in zip(starts, ends, strict=True)]

    def last(self, word: str) -> str:
        """What the last such instruction of the image says."""
        return [rest for name, rest in self.stages()[-1] if name == word][-1]

    def copied(self) -> list[str]:
        """The parts of the clone that are copied, of those that .dockerignore lets through."""
        copies = [rest.split()[:-1] for word, rest in self.lines if word == "COPY"]
        sources = [name for names in copies if not names[0].startswith("--from=") for name in names]
        return [name for name in sources if f"!{name}" in self.ignored]
