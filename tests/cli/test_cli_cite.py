"""`cog cite`: what results rest on, as BibTeX, text and JSON."""

from __future__ import annotations

import json

import bibtexparser
import pytest
from click.testing import CliRunner

from cog.cli.main import main
from cog.provenance import cog_version
from tests.support.result_rows import made_rows, write_runs

BASE = {
    "sariyildiz2021concept", "cog_software", "miller1995wordnet", "fellbaum1998wordnet",
    "deng2009imagenet", "russakovsky2015imagenet", "lin1998information",
}  # fmt: skip


def cog_cite(*arguments):
    done = CliRunner().invoke(main, ["cite", *map(str, arguments)])
    assert done.exit_code == 0, done.output
    return done.stdout


def keys_of(*arguments):
    library = bibtexparser.parse_string(cog_cite(*arguments))
    assert not library.failed_blocks
    return set(library.entries_dict)


def found(*arguments):
    document = json.loads(cog_cite(*arguments, "--format", "json"))
    return {each["key"]: each for each in document["papers"]}, document["by_hand"]


def test_without_a_run_it_is_what_every_result_rests_on():
    assert keys_of() == BASE
    papers, by_hand = found()
    assert by_hand == []
    assert papers["cog_software"]["version"] == cog_version()
    assert f"version = {{{cog_version()}}}" in cog_cite()


def test_models_are_cited_by_every_form_of_their_name():
    names = ("dino", "timm:resnet18", "hf:owner/net@0123abc", "nets.py:load")
    options = [word for name in names for word in ("--model", name)]
    assert keys_of(*options) == BASE | {
        "caron2021emerging", "wightman2019timm", "wolf2020transformers"
    }  # fmt: skip
    papers, by_hand = found(*options)
    assert papers["caron2021emerging"]["cited_for"] == ["the model dino_resnet50"]
    assert [line.partition(": the paper")[0] for line in by_hand] == [
        f"the model {name}" for name in names[1:]
    ]
    text = cog_cite(*options, "--format", "text").splitlines()
    assert len(text) == len(papers) + len(by_hand)
    assert sum(line.startswith("To be found by hand: ") for line in text) == 3


def test_suites_and_protocols_bring_theirs():
    papers, by_hand = found("--suite", "transfer", "--protocol", "trex-transfer")
    assert by_hand == []
    assert papers["sariyildiz2023reason"]["cited_for"] == [
        "the protocol trex-transfer", "the suite transfer"
    ]  # fmt: skip
    assert papers["cimpoi2014describing"]["cited_for"] == ["the dataset dtd"]
    assert len(papers) == len(BASE) + 10  # ten sets, two of which are of one paper, and the suite's


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    models = (
        "dino_vits16", "dino_vits16+untrained", "mae_vitb16-cls+avg", "timm-resnet18.a1_in1k",
        "open_clip-ViT-B-32-laion2b_s34b_b79k", "mine",
    )  # fmt: skip
    rows = made_rows(models, ("in1k", "cog_l1", "dtd", "pets", "photos"), seeds=(22,))
    sizes = {"dtd": 47, "pets": 12}
    rows = [row | {"n_classes": sizes.get(row["dataset"], row["n_classes"])} for row in rows]
    return write_runs(tmp_path_factory.mktemp("runs"), rows)


def test_a_run_is_cited_by_its_models_datasets_and_protocol(runs):
    papers, by_hand = found(runs)
    assert set(papers) == BASE | {
        "caron2021emerging", "he2022masked", "wightman2019timm", "ilharco2021openclip",
        "cherti2023reproducible", "cimpoi2014describing",
    }  # fmt: skip
    assert papers["he2022masked"]["cited_for"] == ["the model mae_vitb16"]
    assert "the protocol cog" in papers["sariyildiz2021concept"]["cited_for"]
    starts = [line.split(":")[0] for line in by_hand]
    assert sorted(starts) == [
        "the dataset pets",  # 12 classes: not the 37 of the suite's
        "the dataset photos",
        "the model mine",
        "the model open_clip-ViT-B-32-laion2b_s34b_b79k",
        "the model timm-resnet18.a1_in1k",
    ]
    assert keys_of(runs) == set(papers)


def test_the_measure_is_that_of_the_levels(runs, tmp_path):
    folder = runs / "splits" / "distances"
    folder.mkdir(parents=True)
    document = {"dataset": "cog_l1", "similarity": 1.5, "seen_similarity": 1.0, "measure": "resnik"}
    (folder / "cog_l1.json").write_text(json.dumps(document))
    papers, _ = found(runs)
    assert "resnik1995using" in papers
    assert "lin1998information" not in papers


def test_names_that_are_unknown_are_refused():
    for option, name in (("--model", "dinno"), ("--suite", "transfr"), ("--protocol", "dino_knn")):
        done = CliRunner().invoke(main, ["cite", option, name])
        assert "nearest" in str(done.exception)
