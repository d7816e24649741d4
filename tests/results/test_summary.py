"""Tables that people read: every number is one of the rows, and rows that differ stay apart."""

from __future__ import annotations

import html.parser
import io
import re
import shlex
import sys

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from scipy.stats import sem, t

from cog.cli.main import main
from cog.errors import CogError
from cog.recipe import UNSEEN
from cog.results.differences import against, drop, left_out
from cog.results.files import read_results
from cog.results.markup import escape_latex, escape_markdown, to_latex, to_markdown
from cog.results.mixing import differences_of_protocol, notes_of_protocol, refuse_mixed, where
from cog.results.paper_tables import accuracy_sheets, difference_sheets, drop_sheets, ranking_sheets
from cog.results.summary import ranking, seen_more, summary
from cog.results.table import tidy
from tests.support.result_rows import ODD_NAMES, made_rows, write_runs

NAMES = (
    *ODD_NAMES,
    r"back\slash {x} $y$ #1 ^2 ~3",
    "*star*",
    "[link](x)",
    "`code`",
    "a--b|c",
    "&lt;",
)
MODELS = ("a", "b", "c")


def table_of(models=MODELS, change=lambda row: {}, **options):
    return tidy([row | change(row) for row in made_rows(models, **options)])


def one(table, **wanted):
    """The only row with these values."""
    rows = table[np.logical_and.reduce([table[name] == value for name, value in wanted.items()])]
    assert len(rows) == 1
    return rows.iloc[0]


# Means and errors


def test_a_summary_is_of_its_rows():
    rows = made_rows(MODELS, shots=(2, "all"), seeds=(22, 37, 45))
    found = summary(tidy(rows[::-1]))
    assert len(found) == 3 * 6 * 2
    assert list(found["dataset"].unique()) == ["in1k", *(f"cog_l{n}" for n in range(1, 6))]
    for _, got in found.iterrows():
        own = [
            row
            for row in rows
            if all(row[name] == got[name] for name in ("model", "dataset", "shots"))
        ]
        top1 = [row["top1"] for row in own]
        assert got["seeds"] == len(own) == 3
        assert got["top1"] == pytest.approx(sum(top1) / 3)
        assert got["se"] == pytest.approx(sem(top1))
        assert got["low"] == pytest.approx(np.mean([row["top1_low"] for row in own]))
        assert got["high"] == pytest.approx(np.mean([row["top1_high"] for row in own]))
        assert got["top5"] == pytest.approx(np.mean([row["top5"] for row in own]))
        assert got["seconds"] == sum(row["seconds"] for row in own)
        for name in ("seen_data", "family", "parameters", "dim", "feature_bytes", "n_test"):
            assert got[name] == own[0][name]
        of_test = (got["high"] - got["low"]) / (2 * 1.96)
        assert got["error"] == pytest.approx((sem(top1) ** 2 + of_test**2) ** 0.5)


def test_errors_that_are_not_known_count_as_none():
    one_seed = summary(table_of(seeds=(22,)))
    assert one_seed["se"].isna().all()
    np.testing.assert_allclose(one_seed["error"], 0.8 / (2 * 1.96))
    no_interval = summary(table_of(change=lambda row: {"top1_low": None, "top1_high": None}))
    np.testing.assert_allclose(no_interval["error"], no_interval["se"])
    neither = table_of(seeds=(22,), change=lambda row: {"top1_low": None, "top1_high": None})
    assert summary(neither)["error"].isna().all()


def test_an_incomplete_seed_makes_a_mean_incomplete():
    found = summary(table_of(change=lambda row: {"complete": row["seed"] != 37 or None}))
    assert not found["complete"].any()


# Ranks


def test_ranks_are_among_complete_models_with_ties_and_by_fit():
    top1 = {"a": 60.0, "b": 70.0, "c": 60.0, "d": 90.0}
    table = table_of(
        tuple(top1), shots=(1, "all"), datasets=("in1k", "cog_l1"), seeds=(22,),
        change=lambda row: {
            "top1": top1[row["model"]] if row["shots"] == "all" else 50.0,
            "complete": row["model"] != "d" or row["dataset"] == "in1k",
        },
    )  # fmt: skip
    ranks = ranking(summary(table))
    of_all = ranks[ranks["shots"] == "all"].set_index("model")
    assert of_all["in1k"].to_dict() == {"a": 3, "b": 2, "c": 3, "d": 1}
    assert of_all["cog_l1"].dropna().to_dict() == {"a": 2, "b": 1, "c": 2}
    assert (ranks[ranks["shots"] == 1]["in1k"] == 1).all()


@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=6))
def test_a_rank_is_one_more_than_the_number_of_better_models(scores):
    top1 = {f"m{number}": 10.0 * score for number, score in enumerate(scores)}
    table = table_of(
        tuple(top1), datasets=("in1k",), seeds=(22,), change=lambda r: {"top1": top1[r["model"]]}
    )
    for _, row in ranking(summary(table)).iterrows():
        assert row["in1k"] == 1 + sum(other > top1[row["model"]] for other in top1.values())


# Differences


def test_a_difference_to_a_baseline_by_hand():
    found = summary(table_of(seeds=(22, 37)))
    rows = against(found, "b")
    assert len(rows) == len(found)
    for _, row in rows.iterrows():
        mine = one(found, model=row["model"], dataset=row["dataset"])
        base = one(found, model="b", dataset=row["dataset"])
        p, q = mine["top1"] / 100, base["top1"] / 100
        assert row["difference"] == pytest.approx(100 * (p - q))
        assert row["log_odds_ratio"] == pytest.approx(np.log(p / (1 - p)) - np.log(q / (1 - q)))
        if row["model"] == "b":
            assert row["error"] == 0
            assert not row["significant"]
        else:
            assert row["error"] == pytest.approx((mine["error"] ** 2 + base["error"] ** 2) ** 0.5)
            parts = [mine["se"] ** 4, base["se"] ** 4]  # of two seeds: one degree of freedom each
            reach = t.ppf(0.975, row["error"] ** 4 / sum(parts)) * row["error"]
            assert row["significant"] == (abs(row["difference"]) > reach)


def test_one_seed_leaves_the_normal_limit_and_two_noisy_ones_widen_it():
    """At 2.5 errors: more than noise if they are of images, not if they are of two seeds."""
    frame = summary(table_of(("a", "b"), datasets=("in1k",), seeds=(22,)))
    of_images = frame.assign(top1=[70.0, 70 + 2.5 * 2**0.5], se=np.nan, error=1.0, seeds=1)
    of_seeds = of_images.assign(se=1.0, seeds=2)
    for table, significant in ((of_images, True), (of_seeds, False)):
        rows = against(table, "a")
        assert list(rows.loc[rows["model"] == "b", "significant"]) == [significant]


def test_what_cannot_be_compared_is_named():
    full = summary(table_of(("a", "b"), seeds=(22,)))
    part = full[~((full["model"] == "a") & (full["dataset"] == "cog_l1"))]
    assert left_out(part, against(part, "a")) == ["b cog_l1 logreg sgd all"]
    near = full[~((full["model"] == "a") & (full["dataset"] == "in1k"))]
    assert left_out(near, drop(near)) == ["a logreg sgd all"]


def test_a_name_may_end_like_a_number():
    table = table_of(("v1.0", "v2", "v3"), seeds=(22,))
    assert set(where(table, ["model=v1.0"])["model"]) == {"v1.0"}
    mixed = table.assign(recipe_hash=["x" if model == "v1.0" else "y" for model in table["model"]])
    with pytest.raises(CogError, match="recipe_hash differs") as caught:
        refuse_mixed(mixed)
    assert "--where 'model!=v1.0'" in caught.value.hint
    assert set(where(mixed, ["model!=v1.0"])["model"]) == {"v2", "v3"}


def test_odds_of_nothing_and_of_all_are_of_half_an_image():
    top1 = {"none": 0.0, "half": 50.0, "all": 100.0}
    table = table_of(
        tuple(top1), change=lambda row: {"top1": top1[row["model"]], "n_test": 200}, seeds=(22,)
    )
    found = against(summary(table), "half").groupby("model")["log_odds_ratio"].first()
    assert found["all"] == pytest.approx(np.log(199.5 / 0.5))
    assert found["none"] == pytest.approx(-np.log(199.5 / 0.5))
    assert found["half"] == 0


def test_what_has_no_error_is_not_said_to_be_significant():
    table = table_of(seeds=(22,), change=lambda row: {"top1_low": None, "top1_high": None})
    rows = against(summary(table), "a")
    assert rows.loc[rows["model"] != "a", "significant"].isna().all()
    assert "**" not in to_markdown(difference_sheets(summary(table), rows, "a"))


def test_an_unknown_baseline_is_an_error():
    with pytest.raises(CogError, match="unknown baseline 'dinno'"):
        against(summary(table_of(("dino", "moco"))), "dinno")


def test_rows_that_the_baseline_lacks_are_left_out():
    found = summary(table_of(shots=(1, "all")))
    found = found[(found["model"] != "a") | (found["shots"] == "all")]
    assert set(against(found, "a")["shots"]) == {"all"}


def test_a_drop_is_from_in1k_to_the_farthest_level():
    found = summary(table_of(shots=(4, "all")))
    found = found[(found["model"] != "c") | (found["dataset"] != "cog_l5")]
    rows = drop(found)
    assert set(rows["model"]) == {"a", "b"}
    assert set(rows["level"]) == {"cog_l5"}
    for _, row in rows.iterrows():
        near = one(found, model=row["model"], dataset="in1k", shots=row["shots"])
        far = one(found, model=row["model"], dataset="cog_l5", shots=row["shots"])
        assert row["points"] == near["top1"] - far["top1"]
        assert row["percent"] == pytest.approx(100 * (1 - far["top1"] / near["top1"]))
        assert row["error"] == pytest.approx((near["error"] ** 2 + far["error"] ** 2) ** 0.5)
    with pytest.raises(CogError, match="in1k"):
        drop(found[found["dataset"] != "in1k"])


# Rows that may not stand in one table


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("protocol", "cog-0", "protocol differs"),
        ("recipe_hash", "x" * 16, "recipe_hash differs"),
        ("levels_hash", "", "levels_hash differs"),
        ("split_hash", "y" * 16, "split_hash of cog_l2 differs"),
        ("n_classes", 998, "n_classes of cog_l2 differs"),
        ("n_test", 49_999, "n_test of cog_l2 differs"),
    ],
)
def test_rows_of_another_kind_are_refused_by_name(column, value, said):
    odd = table_of(
        change=lambda row: (
            {column: value} if (row["model"], row["dataset"]) == ("c", "cog_l2") else {}
        )
    )
    found = differences_of_protocol(odd)
    assert len(found) == 1
    assert found[0].startswith(said)
    assert f"{value or 'nothing'} (c)" in found[0]
    with pytest.raises(CogError, match=said) as refused:
        refuse_mixed(odd)
    refuse_mixed(after_hint(odd, refused.value.hint))


def after_hint(table, hint):
    """The rows that are left when the hint is typed."""
    words = shlex.split(hint.partition(": ")[2])
    assert set(words[::2]) == {"--where"}
    return where(table, words[1::2])


def test_the_hint_always_leaves_a_table_of_one_kind():
    table = table_of(datasets=("in1k", "cog_l1"), seeds=(22, 37))
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(12):
        names = rng.choice(["protocol", "recipe_hash", "split_hash", "n_test"], size=2)
        odd = table.assign(
            **{name: rng.choice([1, 2], len(table), p=[0.8, 0.2]).astype(str) for name in names}
        )
        try:
            refuse_mixed(odd)
        except CogError as error:
            refused += 1
            left = after_hint(odd, error.hint)
            refuse_mixed(left)
            assert len(left)
    assert refused > 5


def test_rows_of_one_kind_are_not_refused():
    table = table_of(
        shots=(1, "all"),
        change=lambda row: {
            "precision": "bf16" if row["model"] == "b" else "fp32",
            "shots_validation": "within" if row["shots"] == 1 else None,
        },
    )
    refuse_mixed(table)
    assert notes_of_protocol(table) == ["precision differs: fp32 (a, c), bf16 (b)"]
    assert notes_of_protocol(table_of()) == []


def test_shots_that_validate_elsewhere_are_refused():
    table = table_of(
        shots=(1,),
        change=lambda row: {"shots_validation": "within" if row["model"] == "a" else "official"},
    )
    assert differences_of_protocol(table) == [
        "shots_validation differs: official (b, c), within (a)"
    ]


def test_conditions_choose_rows():
    table = table_of(shots=(1, "all"), seeds=(22, 37))
    assert set(where(table, ["model=a", "model=b", "seed=22"])["model"]) == {"a", "b"}
    assert set(where(table, ["model=a", "model=b", "seed=22"])["seed"]) == {22}
    assert set(where(table, ["shots!=all"])["shots"]) == {1}
    assert len(where(table, [])) == len(table)
    assert len(where(table, ["complete=True", "lr=0.1", "k="])) == len(table)
    for condition, said in {
        "modell=a": "unknown column",
        "model=z": "unknown model 'z'",
        "model": "no condition",
    }.items():
        with pytest.raises(CogError, match=said):
            where(table, [condition])
    with pytest.raises(CogError, match="no results with"):
        where(table, ["model=a", "model!=a"])


# Formats


class Cells(html.parser.HTMLParser):
    """The texts of an HTML table's cells, row by row, and which of them have bold text."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.bold, self.inside = [], set(), False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        assert tag in ("h3", "table", "thead", "tbody", "tr", "th", "td", "p", "strong"), tag
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag == "strong":
            self.bold.add((len(self.rows) - 1, len(self.rows[-1]) - 1))
        self.inside = tag in ("td", "th", "strong")

    def handle_endtag(self, tag):
        self.inside = self.inside and tag == "strong"

    def handle_data(self, data):
        if self.inside:
            self.rows[-1][-1] += data


def shown(markdown):
    """The table that a reader of GitHub's Markdown sees."""
    return Cells(MarkdownIt("gfm-like", {"linkify": False}).render(markdown))


def latex_rows(text):
    """The rows of a tabular, as LaTeX would split them, with plain text."""
    body = text.partition("\\hline\n")[2].partition("\\end{tabular}")[0]
    lines = [line for line in body.split("\n") if line not in ("", "\\hline")]
    assert all(line.endswith(" \\\\") for line in lines)
    return [
        [plain_latex(cell.strip()) for cell in re.split(r"(?<!\\)&", line.removesuffix("\\\\"))]
        for line in lines
    ]


MACROS = {
    r"\textbackslash{}": "\\", r"\textasciicircum{}": "^", r"\textasciitilde{}": "~",
    r"\textless{}": "<", r"\textgreater{}": ">", r"\textbar{}": "|", "{[}": "[", "{]}": "]",
    "{*}": "*", r"$\pm$": "±", "$-$": "−", r"$^{\dagger}$": "†", r"$^{\ddagger}$": "‡", "{}": "",
    **{f"\\{letter}": letter for letter in "{}$#%&_"},
}  # fmt: skip


def plain_latex(text):
    """What LaTeX sets, read from the left; fails at a bare special character."""
    text = re.sub(r"^\\textbf\{(.*)\}$", r"\1", text)
    out = ""
    while text:
        macro = next((name for name in MACROS if text.startswith(name)), None)
        assert macro or text[0] not in "\\{}$#%&_^~<>|[]*", text
        out += MACROS[macro] if macro else text[0]
        text = text[len(macro or text[0]) :]
    return out


@pytest.fixture(scope="module")
def odd():
    return table_of(
        NAMES, seeds=(22, 37),
        change=lambda row: {"seen_data": "" if row["model"] == "a,b" else row["seen_data"]},
    )  # fmt: skip


def test_every_number_of_a_table_is_of_its_rows(odd):
    markdown = to_markdown(accuracy_sheets(summary(odd)))
    page = shown(markdown)
    header, *rows = page.rows
    assert header == ["model", "in1k", *(f"cog_l{n}" for n in range(1, 6))]
    assert [row[0].rstrip("†") for row in rows] == sorted(NAMES)
    assert latex_rows(to_latex(accuracy_sheets(summary(odd)))) == page.rows
    best = {}
    for at, (name, *cells) in enumerate(rows, start=1):
        for column, (dataset, cell) in enumerate(zip(header[1:], cells, strict=True), start=1):
            own = odd[(odd["model"] == name.rstrip("†")) & (odd["dataset"] == dataset)]["top1"]
            assert cell == f"{own.mean():.2f} ± {sem(own.to_numpy()):.2f}"
            best[column] = max(best.get(column, (0, 0)), (own.mean(), at))
    assert page.bold == {(at, column) for column, (_, at) in best.items()}


@pytest.mark.parametrize("sheets_of", [
    ranking_sheets, lambda found: drop_sheets(found, drop(found)), accuracy_sheets,
])  # fmt: skip
def test_markdown_and_latex_say_the_same(odd, sheets_of):
    sheets = sheets_of(summary(odd))
    rows = shown(to_markdown(sheets)).rows
    assert rows == latex_rows(to_latex(sheets))
    assert rows == [list(sheets[0].header), *([e.text for e in row] for row in sheets[0].rows)]


def test_differences_have_their_errors_and_bold_past_noise(odd):
    found = summary(odd)
    rows = against(found, "`code`")
    sheets = difference_sheets(found, rows, "`code`")
    page = shown(to_markdown(sheets))
    assert page.rows == latex_rows(to_latex(sheets))
    for at, (name, *cells) in enumerate(page.rows[1:], start=1):
        for column, cell in enumerate(cells, start=1):
            row = one(rows, model=name.rstrip("†"), dataset=page.rows[0][column])
            points, error, ratio = map(
                float, re.fullmatch(r"(.+) ± (.+) \((.+)\)", cell.replace("−", "-")).groups()
            )
            assert points == pytest.approx(row["difference"], abs=0.00501)
            assert error == pytest.approx(row["error"], abs=0.00501)
            assert ratio == pytest.approx(row["log_odds_ratio"], abs=0.00501)
            assert ((at, column) in page.bold) == row["significant"]


def test_marks_say_what_was_seen_and_what_is_missing():
    found = summary(
        table_of(
            ("dino", "clip", "part", "own"),
            change=lambda row: {
                "seen_data": {"clip": "WIT-400M", "own": ""}.get(row["model"], UNSEEN),
                "complete": row["model"] != "part",
            },
        )
    )
    text = to_markdown(accuracy_sheets(found))
    assert [row[0] for row in shown(text).rows[1:]] == ["clip†", "dino", "own", "part‡"]
    assert "clip (WIT-400M)." in text
    assert "not known of own." in text
    assert [row[1] for row in shown(to_markdown(ranking_sheets(found))).rows[-1:]] == ["–"]
    assert not seen_more(UNSEEN)
    assert seen_more("IN-21K")


def test_a_table_each_for_probes_and_shots_and_gaps_are_shown():
    table = table_of(shots=(1, 16, "all"), seeds=(22,))
    table = table[(table["model"] != "a") | (table["dataset"] != "cog_l3")]
    text = to_markdown(accuracy_sheets(summary(table)))
    titles = re.findall("^### (.*)", text, re.MULTILINE)
    assert titles == [
        "logreg-sgd, 1 image a class", "logreg-sgd, 16 images a class",
        "logreg-sgd, all images",
    ]  # fmt: skip
    assert shown(text).rows[1][4] == "–"
    assert "±" not in shown(text).rows[1][1]


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
def test_any_name_comes_through_markdown_and_latex(name):
    plain = " ".join(name.split())
    assert plain_latex(escape_latex(name)) == plain
    text = f"| {escape_markdown(name)} |\n| --- |\n| x |\n"
    assert shown(text).rows[0] == [plain]


# The command


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    datasets = ("in1k", "cog_l1", "cog_l5")
    rows = made_rows((*ODD_NAMES, "base"), datasets, seeds=(22, 37), shots=(2, "all"))
    return write_runs(tmp_path_factory.mktemp("runs"), rows)


def cog_results(*arguments):
    return CliRunner().invoke(main, ["results", *map(str, arguments)])


NAMES_OF = {
    "csv": lambda text: set(pd.read_csv(io.StringIO(text))["model"]),
    "markdown": lambda text: {row[0].rstrip("†") for row in shown(text).rows[1:]},
    "latex": lambda text: {row[0].rstrip("†") for row in latex_rows(text)[1:]},
}


def test_a_table_that_was_printed_is_read_again(runs, tmp_path):
    printed = cog_results(runs)
    (tmp_path / "results.csv").write_text(printed.output)
    assert cog_results(tmp_path / "results.csv").output == printed.output
    assert len(pd.read_csv(io.StringIO(printed.output))) == 6 * 3 * 2 * 2


@pytest.mark.parametrize("style", NAMES_OF)
@pytest.mark.parametrize("view", ["", "--wide", "--ranking", "--drop", "--baseline base"])
def test_every_view_in_every_format_has_every_name(runs, tmp_path, view, style):
    file = tmp_path / "table"
    done = cog_results(
        runs, *view.split(), "--where", "shots=all", "--format", style, "--out", file
    )
    assert (done.exit_code, done.output) == (0, f"{file}\n"), done.exception
    assert NAMES_OF[style](file.read_text()) == {*ODD_NAMES, "base"}


def test_parquet_is_the_same_table(runs, tmp_path):
    done = cog_results(runs, "--parquet", tmp_path / "x.parquet", "--csv", tmp_path / "x.csv")
    assert done.output.split() == [str(tmp_path / "x.csv"), str(tmp_path / "x.parquet")]
    pd.testing.assert_frame_equal(
        read_results(tmp_path / "x.parquet"), read_results(tmp_path / "x.csv")
    )
    pd.testing.assert_frame_equal(read_results(tmp_path / "x.parquet"), read_results(runs))


def test_without_pyarrow_parquet_is_refused(runs, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    error = cog_results(runs, "--parquet", tmp_path / "x.parquet").exception
    assert isinstance(error, CogError)
    assert "imagenet-cog[parquet]" in error.hint


def test_a_bad_cell_is_named_and_makes_the_exit_status_1(tmp_path):
    write_runs(tmp_path, made_rows(("a", "b"), seeds=(22,)))
    (tmp_path / "model-0" / "cells" / "short.json").write_text('{"row": ')
    done = cog_results(tmp_path, "--wide")
    assert done.exit_code == 1
    assert "short.json is cut short" in done.stderr
    assert done.stdout.count("\n") == 3


def test_mixed_rows_are_in_the_tidy_table_alone(tmp_path):
    rows = made_rows(MODELS, seeds=(22,))
    for row in rows:
        row |= {"recipe_hash": "other"} if row["model"] == "c" else {}
    write_runs(tmp_path, rows)
    assert cog_results(tmp_path).exit_code == 0
    for view in (["--wide"], ["--ranking"], ["--baseline", "a"], ["--format", "latex"]):
        error = cog_results(tmp_path, *view).exception
        assert isinstance(error, CogError)
        assert "rrrrrrrrrrrrrrrr (a, b), other (c)" in error.what
        assert "--where 'model!=c'" in error.hint
    assert cog_results(tmp_path, "--wide", "--where", "model!=c").exit_code == 0


def test_a_protocol_can_be_asked_for(tmp_path):
    rows = made_rows(MODELS, seeds=(22,))
    for row in rows:
        row |= {"protocol": "cog-2"} if row["model"] == "c" else {}
    write_runs(tmp_path, rows)
    done = cog_results(tmp_path, "--wide", "--where", "protocol=cog-2")
    assert done.exit_code == 1
    assert done.stderr.count("is of protocol cog-1, not cog-2") == 2 * 6
    assert set(pd.read_csv(io.StringIO(done.stdout))["model"]) == {"c"}


def test_two_views_are_refused(runs):
    done = cog_results(runs, "--wide", "--drop")
    assert done.exit_code == 2
    assert "--wide and --drop" in done.stderr
