"""Cut the figures of docs/report.md from a real report page: docs/figures/report-*.png.

python tools/make_report_figures.py FOLDER

In FOLDER it makes the run of the page, or goes on with it: the drawn images of `cog demo`, seen by
a network trained for ten epochs, one trained for two, and an untrained one; as a test set the
validation images in grey, as another task scikit-learn's digits. Some ten minutes of processor
time, most of them for probes. Then it opens FOLDER/report.html in Chromium and cuts each chart out.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from PIL import Image
from sklearn.datasets import load_digits

import cog
from cog.cli.terminal import Terminal
from cog.demo.network import make_network, one_thread, train
from cog.demo.run import (
    ELIGIBLE,
    LEVELS,
    PER_LEVEL,
    PREPROCESS,
    SEED,
    SEEN,
    TEST,
    TRAIN,
    draw_images,
    read_images,
)

FIGURES = Path(__file__).parent.parent / "docs" / "figures"
EPOCHS = {"ten-epochs": 10, "two-epochs": 2, "untrained": 0}
SHOTS = (1, 4, 16, "all")
CHARTS = (
    "levels", "domains", "tasks", "distance", "concepts", "ranks", "few_shot", "cost", "surface",
)  # fmt: skip
WIDTH = 560  # of the window: charts are then as wide as a page of text shows them


def main(folder: Path) -> None:
    """Make the run, its page, and the figures."""
    make_run(folder)
    page = cog.write_report(
        folder / "runs", folder / "report.html", levels=folder / "levels", baseline="untrained"
    )
    FIGURES.mkdir(exist_ok=True)
    cut_figures(Path(str(page)))


def make_run(folder: Path) -> None:
    """Draw the images, train the networks and evaluate them."""
    draw_images(folder, Terminal())
    levels = cog.build_levels(seen=SEEN, eligible=ELIGIBLE, n_levels=LEVELS, size=PER_LEVEL)
    cog.write_levels(levels, folder / "levels", overwrite=True)
    draw_digits(folder / "digits")
    draw_grey(folder / "in1k" / "val", folder / "grey")
    with one_thread():
        cog.evaluate(
            networks(folder),
            images=folder / "images",
            in1k=folder / "in1k",
            levels=folder / "levels",
            datasets={"digits": folder / "digits"},
            test_sets={"in1k/grey": folder / "grey"},
            test_per_class=TEST,
            min_train=TRAIN,
            max_train=TRAIN,
            shots=SHOTS,
            seeds=(22, 37),
            out=folder / "runs",
            progress=Terminal(),
        )


def draw_digits(folder: Path) -> None:
    """scikit-learn's digits as FOLDER/<digit>/<number>.png, about a hundred of each."""
    digits = load_digits()
    for number, pixels in enumerate(digits.images[:1000]):
        path = folder / str(digits.target[number]) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels * 15.9).astype("uint8")).resize((64, 64)).save(path)


def draw_grey(source: Path, folder: Path) -> None:
    """The images of SOURCE/<wnid>/ without their colours, in FOLDER/<wnid>/."""
    for path in sorted(source.glob("*/*.JPEG")):
        grey = folder / path.parent.name / path.name
        grey.parent.mkdir(parents=True, exist_ok=True)
        Image.open(path).convert("L").convert("RGB").save(grey, quality=95)


def networks(folder: Path) -> list[cog.Model]:
    """The same network after each of EPOCHS."""
    images, labels = read_images(folder / "in1k" / "train")
    models = []
    for name, epochs in EPOCHS.items():
        network = make_network(SEED)
        if epochs:
            train(network, images, labels, PREPROCESS.normalise, seed=SEED, epochs=epochs)
        models.append(cog.Model(network, preprocess=PREPROCESS, name=name))
    return models


def cut_figures(page_path: Path) -> None:
    """Each chart of the page as a PNG of at most 64 colours."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": WIDTH, "height": 900})
        page.goto(page_path.resolve().as_uri())
        page.wait_for_selector("body[data-ready]")
        for name in CHARTS:
            file = FIGURES / f"report-{name.replace('_', '-')}.png"
            page.locator(f"#{name}-chart").screenshot(path=file)
            Image.open(file).convert("RGB").quantize(64).save(file, optimize=True)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
