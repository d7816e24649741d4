"""Tables of results in a dataset of the Hugging Face hub, where several people add to them.

A dataset `hf:OWNER/NAME` has a Parquet file a model, `results/MODEL-HASH.parquet`, with rows as in
results.csv. Each row says itself what made it (hashes, versions, precision); the metadata of a
file say who pushed it, when, and by which command. All rows of a dataset may stand in one table:
what may not (another protocol, recipe, levels or test images) is refused before anything is
written.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from cog.errors import CogError
from cog.hashes import short_hash
from cog.progress import Notify
from cog.provenance import cog_version, command
from cog.results.cells import refuse_several_protocols
from cog.results.files import as_parquet, read_results, require_pyarrow
from cog.results.joining import join_tables, rows_by_key
from cog.results.mixing import refuse_mixed, where
from cog.results.table import tidy
from cog.storage import safe_name

if TYPE_CHECKING:
    from huggingface_hub import HfApi

PROVENANCE = "cog"
"""the key of a Parquet file's metadata that holds, as JSON, who pushed it, when and how"""
_FOLDER, _CARD, _KIND = "results/", "README.md", "dataset"


@dataclass(frozen=True)
class Shared:
    """A dataset of the hub that holds results."""

    repository: str
    revision: str | None = None

    def __str__(self) -> str:
        """As it is typed."""
        return f"hf:{self.repository}" + (f"@{self.revision}" if self.revision else "")


def read_name(text: str) -> Shared:
    """The dataset that `hf:OWNER/NAME` or `hf:OWNER/NAME@REVISION` names.

    >>> read_name("hf:lab/results@v1")
    Shared(repository='lab/results', revision='v1')

    Raises:
        CogError: it names none.
    """
    found = re.fullmatch(r"hf:([\w.-]+/[\w.-]+)(?:@([\w./-]+))?", text, re.ASCII)
    if not found:
        raise CogError(f"no dataset of the hub: {text!r}", "write hf:OWNER/DATASET")
    return Shared(found[1], found[2])


def pull(shared: Shared, conditions: Sequence[str] = ()) -> pd.DataFrame:
    """The rows of a dataset of the hub that meet `conditions` (see `where`).

    Raises:
        CogError: no such dataset, no results in it, a file that is no table of results, or rows of
            protocols with different names.
    """
    api = _api()
    commit, files = _files(api, shared)
    tables = [_download(shared, file, commit) for file in files]
    if not tables:
        raise CogError(f"{shared} has no results", f"push some: cog results RUNS --push {shared}")
    found = where(join_tables(tables), conditions)
    refuse_several_protocols(found["protocol"], str(shared))
    return found


def push(results: pd.DataFrame, shared: Shared, notify: Notify) -> str:
    """Add rows to a dataset of the hub, which is made where there is none; gives its URL.

    Rows that are there with the same key are replaced. The files are changed in one commit, and
    only if nobody else changed them since they were read.

    Raises:
        CogError: rows that do not belong together, another model with the name of one that is
            there, or whatever the hub answers.
    """
    if shared.revision:
        raise CogError(f"{shared} names a revision", f"push to hf:{shared.repository}")
    refuse_mixed(results)
    require_pyarrow()
    api = _api()
    try:
        owner = str(api.whoami()["name"])
        api.create_repo(shared.repository, repo_type=_KIND, exist_ok=True)
    except Exception as error:
        raise _refused(shared, error) from error
    commit, files = _files(api, shared)
    there = {file: _download(shared, file, commit) for file in files}
    changed = {}
    for model, rows in results.groupby("model", sort=False):
        file = file_of(str(model))
        old = there.get(file, rows.iloc[:0])
        table, said = _updated(old, rows, shared)
        notify(f"{model}: {said}")
        if rows_by_key(table) != rows_by_key(old):
            changed[file] = table
    refuse_mixed(join_tables((there | changed).values()))
    if changed:
        _commit(api, shared, changed, owner, commit)
    return f"{api.endpoint}/datasets/{shared.repository}"


def file_of(model: str) -> str:
    """The file of a model's rows; two models never share one.

    >>> file_of("timm:resnet18")
    'results/timm-resnet18-eca0fa1a.parquet'
    """
    return f"{_FOLDER}{safe_name(model)}-{short_hash(model)[:8]}.parquet"


def _updated(old: pd.DataFrame, new: pd.DataFrame, shared: Shared) -> tuple[pd.DataFrame, str]:
    """The rows of one model after a push, and what changed, in words."""
    prints = {*old["model_fingerprint"], *new["model_fingerprint"]}
    if len(prints) > 1:
        model, known = new["model"].iloc[0], ", ".join(sorted(prints))
        raise CogError(
            f"{shared} and these results have different models called {model}: {known}",
            "give yours a name of its own: cog evaluate … --name NAME",
        )
    there, given = rows_by_key(old), rows_by_key(new)
    same = sum(there.get(key) == row for key, row in given.items())
    n_new = len(given.keys() - there.keys())
    said = f"{n_new} new rows, {len(given) - n_new - same} replaced, {same} the same"
    return tidy((there | given).values()), said


def _commit(
    api: HfApi, shared: Shared, changed: dict[str, pd.DataFrame], owner: str, parent: str
) -> None:
    """Write the files of some models, and the card of a dataset that has none, in one commit."""
    from huggingface_hub import CommitOperationAdd

    about = {
        "pushed_by": owner, "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cog_version": cog_version(), "command": command(),
    }  # fmt: skip
    files = {name: with_provenance(as_parquet(table), about) for name, table in changed.items()}
    models = sorted({str(name) for table in changed.values() for name in table["model"]})
    try:
        if not api.file_exists(shared.repository, _CARD, repo_type=_KIND, revision=parent):
            files[_CARD] = _card(shared).encode()
        api.create_commit(
            shared.repository,
            [CommitOperationAdd(name, content) for name, content in files.items()],
            commit_message=f"Results of {', '.join(models)}",
            commit_description=json.dumps(about, indent=1),
            repo_type=_KIND,
            parent_commit=parent,
        )
    except Exception as error:
        raise _refused(shared, error) from error


def with_provenance(parquet: bytes, about: dict[str, str]) -> bytes:
    """A Parquet file with `about` among its metadata."""
    from pyarrow import parquet as files

    table = files.read_table(io.BytesIO(parquet))
    metadata = {**(table.schema.metadata or {}), PROVENANCE: json.dumps(about)}
    out = io.BytesIO()
    files.write_table(table.replace_schema_metadata(metadata), out)
    return out.getvalue()


def _card(shared: Shared) -> str:
    """The page of a new dataset."""
    return f"""---
tags: [imagenet-cog]
configs:
- config_name: default
  data_files: results/*.parquet
---
# Results of concept generalization

Accuracies of frozen features by `cog` (imagenet-cog), a row a result. To show or to add to them:

    cog results --pull {shared} --wide
    cog results runs --push {shared}
"""


def _api() -> HfApi:
    """The hub, at the endpoint that the library's own variables name."""
    from huggingface_hub import HfApi, constants

    return HfApi(endpoint=constants.ENDPOINT)


def _files(api: HfApi, shared: Shared) -> tuple[str, list[str]]:
    """The commit of a dataset, and its files of results at that commit, by name."""
    try:
        info = api.dataset_info(shared.repository, revision=shared.revision)
    except Exception as error:
        raise _refused(shared, error) from error
    names = [file.rfilename for file in info.siblings or []]
    found = [name for name in names if re.fullmatch(rf"{_FOLDER}[^/]+\.parquet", name)]
    return str(info.sha), sorted(found)


def _download(shared: Shared, file: str, commit: str) -> pd.DataFrame:
    """One file of results."""
    from huggingface_hub import hf_hub_download

    try:
        path = hf_hub_download(shared.repository, file, repo_type=_KIND, revision=commit)
    except Exception as error:
        raise _refused(shared, error) from error
    return read_results(Path(path))


def _refused(shared: Shared, error: Exception) -> CogError:
    """What the hub answered, in words."""
    from huggingface_hub import errors

    status = getattr(getattr(error, "response", None), "status_code", None)
    hint = "try again with a connection"
    if isinstance(error, errors.LocalTokenNotFoundError) or status in (401, 403):
        hint = "log in with a token that may write there: hf auth login"
    elif isinstance(error, errors.RepositoryNotFoundError | errors.RevisionNotFoundError):
        hint = "check the spelling; for a private one, type: hf auth login"
    elif status in (409, 412):
        hint = "somebody else pushed at the same moment: run the same command again"
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    return CogError(f"{shared}: {reason}", hint)
