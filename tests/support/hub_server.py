"""A Hugging Face hub on this machine, in the place of the real one."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from huggingface_hub import constants, file_download

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """A hub that answers as the real one does where timm asks: names of files, and their bytes."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.status = 0  # what every question is answered with, where it is set
        self.datasets: dict[str, list[tuple[str, dict[str, bytes]]]] = {}
        """the commits of each dataset, and all files at each of them"""
        self.messages: list[dict[str, str]] = []
        self.before_commit = lambda: None  # what happens while somebody makes a commit

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def put(self, repository: str, revision: str = "main", **files: bytes) -> None:
        for name, content in files.items():
            path = name.replace("_json", ".json").replace("__", ".")
            self.files[f"/{repository}/resolve/{revision}/{path}"] = content

    def commit(self, dataset: str, files: dict[str, bytes]) -> str:
        """Add files to a dataset, which is made where there is none; gives the commit."""
        commits = self.datasets.setdefault(dataset, [])
        every = (commits[-1][1] if commits else {}) | files
        sha = hashlib.sha1(f"{dataset} {len(commits)}".encode()).hexdigest()
        commits.append((sha, every))
        for name, content in every.items():
            for revision in (sha, "main"):
                self.files[f"/datasets/{dataset}/resolve/{revision}/{name}"] = content
        return sha

    def latest(self, dataset: str) -> str:
        return self.datasets[dataset][-1][0]


class _Answers(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        if self.path.startswith("/api/") and not self.server.status:
            self.server.asked.append(f"GET {self.path}")
            self.answer_about()
        else:
            self.answer(body=True)

    def do_POST(self) -> None:
        """Make a dataset, say how files come, or take a commit, as the hub's interface has it."""
        sent = self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.server.asked.append(f"POST {self.path}")
        dataset = self.path.removeprefix("/api/datasets/").rpartition("/")[0].rpartition("/")[0]
        if self.server.status:
            self.send_json({"error": "no"}, self.server.status)
        elif self.path == "/api/repos/create":
            asked = json.loads(sent)
            name = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else ""
            taken = name in self.server.datasets
            if not taken:
                self.server.commit(name, {".gitattributes": b""})
            url = f"{self.server.url}/datasets/{name}"
            self.send_json({"url": url}, 409 if taken else 200)
        elif self.path == "/api/validate-yaml":
            self.send_json({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            names = [file["path"] for file in json.loads(sent)["files"]]
            known = [{"path": n, "uploadMode": "regular", "shouldIgnore": False} for n in names]
            self.send_json({"files": known})
        else:
            self.take_commit(dataset, [json.loads(line) for line in sent.splitlines()])

    def take_commit(self, dataset: str, lines: list[dict]) -> None:
        self.server.before_commit()
        head, *files = lines
        if head["value"].get("parentCommit") != self.server.latest(dataset):
            self.send_json({"error": "the parent is not the newest commit"}, 412)
            return
        self.server.messages.append(head["value"])
        contents = {
            file["value"]["path"]: base64.b64decode(file["value"]["content"]) for file in files
        }
        sha = self.server.commit(dataset, contents)
        url = f"{self.server.url}/datasets/{dataset}/commit/{sha}"
        self.send_json({"commitUrl": url, "commitOid": sha, "success": True})

    def answer_about(self) -> None:
        """Who asks, or the files of a dataset at a commit."""
        if self.path.startswith("/api/whoami"):
            self.send_json({"name": "ada", "type": "user"})
            return
        found = re.fullmatch(r"/api/datasets/([^?]+?)(?:/revision/([^?]+))?(?:\?.*)?", self.path)
        dataset, revision = found.groups() if found else ("", None)
        commits = self.server.datasets.get(dataset, [])
        wanted = [each for each in commits if revision in (None, "main", each[0])]
        if not wanted:
            code = "RevisionNotFound" if commits else "RepoNotFound"
            self.send_json({"error": code}, 404, code)
            return
        sha, files = wanted[-1]
        siblings = [{"rfilename": name} for name in files]
        self.send_json({"id": dataset, "sha": sha, "siblings": siblings})

    def send_json(self, value: object, status: int = 200, code: str = "") -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def answer(self, body: bool = False) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        content = self.server.files.get(self.path)
        if content is None or self.server.status:
            repository = self.path.partition("/resolve")[0]
            known = any(path.startswith(f"{repository}/") for path in self.server.files)
            self.send_response(self.server.status or 404)
            if self.server.status == 403:
                self.send_header("X-Error-Code", "GatedRepo")
            elif not self.server.status:
                self.send_header("X-Error-Code", "EntryNotFound" if known else "RepoNotFound")
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        asked = re.search("/resolve/([0-9a-f]{40})/", self.path)
        self.send_response(200)
        self.send_header("X-Repo-Commit", asked[1] if asked else COMMIT)
        self.send_header("ETag", f'"{abs(hash(content)):x}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


def point_to(url: str, cache: Path, monkeypatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    for module in (constants, file_download):  # the second has a copy in huggingface_hub 0
        monkeypatch.setattr(module, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
