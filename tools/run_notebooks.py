"""Run the notebooks of examples/ and write their outputs into them; or run one, for a test.

python tools/run_notebooks.py

Each runs in an empty folder, without COG_IMAGES, as for a reader who has only installed cog.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from unittest import mock

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

EXAMPLES = Path(__file__).parent.parent / "examples"
NOTEBOOKS = tuple(sorted(EXAMPLES.glob("*.ipynb")))
SECONDS = 300  # for one cell; what takes longer hangs


def run(path: Path, pictures: str = "") -> NotebookNode:
    """The notebook with the outputs that it gives now; raises where a cell fails.

    `pictures`: what COG_IMAGES is there; empty: it is not set.
    """
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ):
        os.environ["COG_IMAGES"] = pictures
        os.environ["PYTHONPATH"] = os.pathsep.join(
            [str(EXAMPLES.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
        )
        settings = {"metadata": {"path": folder}}
        NotebookClient(
            notebook, timeout=SECONDS, startup_timeout=SECONDS, kernel_name="python3",
            record_timing=False, resources=settings,
        ).execute()  # fmt: skip
    return _bare(notebook)


def _bare(notebook: NotebookNode) -> NotebookNode:
    """Without what is of one machine: versions, and what cells wrote on stderr."""
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python",
                                        "name": "python3"},
                         "language_info": {"name": "python"}}  # fmt: skip
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.metadata = {}
            cell.outputs = _joined(each for each in cell.outputs if each.get("name") != "stderr")
    return notebook


def _joined(outputs: Iterable[NotebookNode]) -> list[NotebookNode]:
    """What a cell printed as one output: in how many pieces it came is chance."""
    kept: list[NotebookNode] = []
    for each in outputs:
        if kept and each.output_type == kept[-1].output_type == "stream":
            kept[-1].text += each.text
        else:
            kept.append(each)
    return kept


def main() -> None:
    """Run each notebook and write it."""
    for path in NOTEBOOKS:
        nbformat.write(run(path), path)
        print(f"{path} ({path.stat().st_size / 1024:.0f} kB)")


if __name__ == "__main__":
    main()
