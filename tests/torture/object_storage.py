"""A run in object storage: killed at every request, and with requests that fail."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from tests.support.failing_calls import Strike, counted_calls, library, struck_call
from tests.torture.disturbed import check_answer
from tests.torture.harness import Attack, Attempt, Fault, Unable
from tests.torture.jobs import JOBS, call, comparable, make_benchmark

BUCKET = "torture"
ERRORS = ("ECONNRESET", "EPIPE", "ETIMEDOUT")
WORDS = {
    name: JOBS[name].command.replace("--out out", f"--out s3://{BUCKET}/out")
    for name in ("extract", "evaluate")
}


class Server:
    """An S3 server in this process, with one bucket."""

    def __init__(self) -> None:
        try:
            import boto3
            from moto.server import ThreadedMotoServer
        except ImportError as error:
            raise Unable("it needs moto: pip install 'imagenet-cog[test]'") from error
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        self.variables = {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1",
        }  # fmt: skip
        self.client = boto3.client(
            "s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1",
            aws_access_key_id="test", aws_secret_access_key="test",
        )  # fmt: skip
        self.client.create_bucket(Bucket=BUCKET)

    def names(self) -> list[str]:
        """The names of all objects."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        return [item["Key"] for page in pages for item in page.get("Contents", ())]

    def objects(self) -> dict[str, bytes]:
        """Every object, without what may differ."""
        get = partial(self.client.get_object, Bucket=BUCKET)
        return {name: comparable(name, get(Key=name)["Body"].read()) for name in self.names()}

    def empty(self) -> None:
        """Remove all objects."""
        for name in self.names():
            self.client.delete_object(Bucket=BUCKET, Key=name)


def _prepare(folder: Path) -> Attempt:
    if library() is None:
        raise Unable("it needs Linux and a C compiler")
    server = Server()
    benchmark = make_benchmark(folder / "benchmark")
    expected: dict[str, tuple[dict[str, bytes], int]] = {}

    def undisturbed(name: str, where: Path) -> tuple[dict[str, bytes], int]:
        if name not in expected:
            before = partial(Strike().arm, where)
            done = call(WORDS[name], where, before, **server.variables)
            if done.returncode:
                raise Fault(f"`cog {WORDS[name]}` fails undisturbed: {done.stderr}")
            expected[name] = server.objects(), counted_calls(where)["send"]
        return expected[name]

    def attempt(rng: np.random.Generator, number: int, where: Path) -> str:
        name = [*WORDS][number % len(WORDS)]
        server.empty()
        shutil.copytree(benchmark, where, symlinks=True, dirs_exist_ok=True)
        objects, sends = undisturbed(name, where)
        server.empty()
        strike = Strike(("send",), int(rng.integers(1, sends + 1)))
        action = ("kill before", "kill after", "fail", "fail from then on")[number // 2 % 4]
        strike = replace(strike, action=action, error=str(rng.choice(ERRORS)))
        done = call(WORDS[name], where, partial(strike.arm, where), **server.variables)
        try:
            check_answer(done)
            _check_objects(server.objects(), objects, whole=done.returncode == 0)
            again = call(WORDS[name], where, **server.variables)
            if again.returncode:
                raise Fault(f"the same command again gives {again.returncode}: {again.stderr}")
            _check_objects(server.objects(), objects, whole=True)
        except Fault as fault:
            said = f"status {done.returncode}, stderr: {done.stderr[-1500:]}"
            raise Fault(f"{name}, {strike} ({struck_call(where)}): {fault}\n{said}") from fault
        return f"{name}: {action}, status {done.returncode}"

    return attempt


def _check_objects(there: dict[str, bytes], objects: dict[str, bytes], whole: bool) -> None:
    """Each object is that of an undisturbed run; in the end all are there."""
    for name, data in there.items():
        if name not in objects:
            raise Fault(f"{name} is left over")
        if data != objects[name] and (whole or not name.endswith("results.csv")):
            raise Fault(f"{name} is not what an undisturbed run writes")
    if whole and objects.keys() - there.keys():
        raise Fault(f"{min(objects.keys() - there.keys())} is missing after status 0")


OBJECT_STORAGE = Attack("object storage", "a run at an S3 URL, killed at any request, and requests "
                        "that fail once or from then on", 1, _prepare)  # fmt: skip
