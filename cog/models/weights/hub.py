"""Files of repositories on the Hugging Face hub, or an error within seconds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from cog.errors import CogError
from cog.models.weights.download import NotHere


def folder_or_repository(name: str, form: str, example: str) -> Path | tuple[str, str | None]:
    """What a name behind `form` is: a folder's path, or a repository of the hub and its revision.

    `name`: `OWNER/MODEL`, `OWNER/MODEL@REVISION`, or a path with `.`, `~` or `/` at its start.

    >>> folder_or_repository("timm/resnet18@v1", "hf-hub:", "timm/resnet18.a1_in1k")
    ('timm/resnet18', 'v1')

    Raises:
        CogError: it is written otherwise; `example` of a name is then in the hint.
    """
    if name.startswith((".", "~", "/")):
        return Path(name).expanduser()
    found = re.fullmatch(r"([\w.-]+/[\w.-]+)(?:@([\w./-]+))?", name)
    if not found:
        raise CogError(
            f"expected OWNER/MODEL[@REVISION] of the Hugging Face hub, found {name!r}",
            f"write it like {form}{example}, or {form}./FOLDER for a local folder",
        )
    return found[1], found[2]


def hub_page(repository: str, revision: str | None = None) -> str:
    """The address of a repository for people."""
    from huggingface_hub import constants

    return f"{constants.ENDPOINT}/{repository}" + (f"/tree/{revision}" if revision else "")


def hub_cached(repository: str, names: Sequence[str], revision: str | None = None) -> Path | None:
    """The first of `names` that the hub's cache has of a repository; nothing is downloaded."""
    from huggingface_hub import try_to_load_from_cache

    found = (try_to_load_from_cache(repository, name, revision=revision) for name in names)
    return next((Path(path) for path in found if isinstance(path, str)), None)


def hub_file(
    repository: str,
    names: Sequence[str],
    revision: str | None = None,
    download: bool = True,
) -> Path:
    """The first of `names` that a repository has: from the hub's cache, or downloaded into it.

    Without a connection, huggingface_hub tries each file six times and waits 23 seconds. So one
    request comes first, which fails at once; a slow connection keeps the hub library's patience.

    Raises:
        CogError: no connection, no such repository or revision, no permission, no such file.
        NotHere: it is not in the cache, and `download` is False.
    """
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    where = hub_page(repository, revision)
    cached = [
        name
        for name in names
        if isinstance(try_to_load_from_cache(repository, name, revision=revision), str)
    ]
    if not (cached or download):
        raise NotHere(f"{names[0]} of {where} is not on this machine", "download it first")
    for name in cached or names:
        if cached or _is_there(repository, name, revision, where):
            try:
                return Path(hf_hub_download(repository, name, revision=revision))
            except Exception as error:  # network, disk, permission: classes differ by version
                raise _unreachable(f"{name} of {where}", error) from error
    raise CogError(
        f"{where} has no {' or '.join(names)}",
        "give the name of a repository that has one, or --weights FILE",
    )


def _is_there(repository: str, name: str, revision: str | None, where: str) -> bool:
    """Ask once whether a file is there; if the hub is busy or slow, say yes and let it try."""
    from huggingface_hub import errors, get_hf_file_metadata, hf_hub_url

    try:
        get_hf_file_metadata(hf_hub_url(repository, name, revision=revision))
    except errors.EntryNotFoundError:
        return False
    except errors.GatedRepoError as error:
        raise CogError(
            f"{where} is only for people who accepted its terms",
            "accept them there with a browser, then type: hf auth login",
        ) from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        raise CogError(
            f"no repository or revision {where}",
            "check the spelling; for a private one, type: hf auth login",
        ) from error
    except errors.HfHubHTTPError:
        return True
    except Exception as error:  # of httpx or requests, which depends on the hub library's version
        if type(error).__name__ == "ReadTimeout":
            return True
        raise _unreachable(where, error) from error
    return True


def _unreachable(where: str, error: Exception) -> CogError:
    reason = f"{type(error).__name__}: {error}".splitlines()[0]
    return CogError(
        f"cannot download {where} ({reason})",
        "try again with a connection, or download its files elsewhere and give --weights FILE "
        "(for hf-hub: and hf: the folder of all files, as hf:./FOLDER)",
    )
