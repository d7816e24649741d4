#!/usr/bin/env bash
# The acceptance test of a machine with a GPU and no network, in at most eight minutes:
#
#     tools/gpu_check.sh > gpu_check.jsonl
#
# It runs `cog doctor`, the tests of `make test-gpu`, and benchmarks/gpu.py, each within its part of the time, and prints
# one line of JSON for each of them and for each figure; the last line is the verdict. All else goes to stderr. Exit
# status: 0 if all is well, 1 if something failed, 2 if it cannot start: no GPU, or a package is missing.
#
# What it needs: a Python (3.11 or newer) with the packages of `NEEDED` below. It takes PYTHON, or .venv/bin/python if
# there is one, or python3. It installs nothing there and needs no pip install of this clone. Packages that this Python
# lacks may come as wheels in the folder of COG_WHEELS (by default .whl): they go to a temporary folder. A machine
# with a network fills it so, for the Python of the machine with the GPU, 3.12 say:
#
#     python3 -m pip download --no-deps --only-binary=:all: --python-version 3.12 --platform manylinux_2_28_x86_64 \
#         --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 -d .whl \
#         zarr numcodecs google-crc32c donfig msgspec optuna alembic mako colorlog sqlalchemy platformdirs simplejpeg \
#         cloudpickle nltk defusedxml
#
# (zarr from 3.4 on needs msgspec, nltk from 3.10 on defusedxml.) What those that it finds need in turn is named too.
#
# COG_GPU_CHECK_SECONDS=480 is the time for all of it; COG_GPU_CHECK_DEVICE=cpu runs the same on a CPU, with tiny
# sizes: that is how it is tested.
set -u
cd "$(dirname "$0")/.." || exit 2

DEVICE=${COG_GPU_CHECK_DEVICE:-cuda}
ALL=${COG_GPU_CHECK_SECONDS:-480}
ENDS=$((SECONDS + ALL))
GRACE=8
WHEELS=${COG_WHEELS:-.whl}
NEEDED="torch torchvision numpy scipy pandas PIL click rich tqdm jinja2 safetensors platformdirs zarr optuna timm pytest
    hypothesis cloudpickle"
[ -n "${PYTHON:-}" ] || { [ -x .venv/bin/python ] && PYTHON=.venv/bin/python; } || PYTHON=python3

WORK=$(mktemp -d) || exit 2
CHILD=""
# What runs is ended with this script, and so are its own children: timeout passes the signal on to all of them.
stop() {
    [ -z "$CHILD" ] || { kill -TERM "$CHILD"; wait "$CHILD"; } 2> /dev/null
    exit "$1"
}
trap 'rm -rf "$WORK"' EXIT
trap 'stop 130' INT
trap 'stop 143' TERM
export COG_HOME="$WORK/home" TMPDIR="$WORK" OMP_WAIT_POLICY=passive PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
FAILED=""

say() { echo "gpu_check: $*" >&2; }

# One line of JSON: words NAME=VALUE, whose values are JSON.
line() { "$PYTHON" -c 'import json, sys
print(json.dumps({name: json.loads(value) for name, _, value in (word.partition("=") for word in sys.argv[1:])},
                 ensure_ascii=False))' "$@"; }

# A string as JSON.
quoted() { "$PYTHON" -c 'import json, sys; print(json.dumps(sys.argv[1], ensure_ascii=False))' "$1"; }

# cannot WHY: the verdict of a check that does not start.
cannot() {
    say "$1"
    line verdict='"cannot start"' why="$(quoted "$1")" || echo '{"verdict": "cannot start"}'
    exit 2
}

# within SECONDS COMMAND...: run it for so long, or for what is left of the time; gives its status, 124 or 137 if it took
# longer. What does not end when it is told to is killed $GRACE seconds later; that is within the time too.
within() {
    local most=$1 left=$((ENDS - SECONDS - GRACE))
    shift
    [ "$most" -lt "$left" ] || most=$left
    [ "$most" -ge 1 ] || return 124
    timeout -k "$GRACE" "$most" "$@" &
    CHILD=$!
    wait "$CHILD"
    local status=$?
    CHILD=""
    return $status
}

# ended NAME STATUS: remember a failure.
ended() { [ "$2" -eq 0 ] || FAILED="$FAILED${FAILED:+, }$1 (status $2)"; }

"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    say "expected a Python from 3.11 on, found ${PYTHON} ($("$PYTHON" --version 2>&1)): give PYTHON=…"
    echo '{"verdict": "cannot start", "why": "no Python from 3.11 on"}'
    exit 2
}
if compgen -G "$WHEELS/*.whl" > /dev/null; then
    "$PYTHON" -m pip install -q --no-index --no-deps --no-compile --target "$WORK/site" "$WHEELS"/*.whl >&2 ||
        cannot "the wheels of $WHEELS cannot be installed: see above"
    export PYTHONPATH="$PYTHONPATH:$WORK/site"
fi
say "python: $("$PYTHON" -c 'import sys; print(sys.executable, sys.version.split()[0])'), device: $DEVICE"
# Of those that come as wheels, what they need may be missing: releases differ in that, so that they are imported.
MISSING=$("$PYTHON" -c 'import importlib, importlib.util, sys
missing = [name for name in sys.argv[1:] if importlib.util.find_spec(name) is None]
for name in {"zarr", "optuna"} - {*missing}:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing.append(f"{error.name} (which {name} needs)")
print(" ".join(missing))' $NEEDED)
[ -z "$MISSING" ] || cannot "$PYTHON lacks $MISSING: give PYTHON with these packages, or wheels (see the top of $0)"
if [ "$DEVICE" != cpu ]; then
    within 120 "$PYTHON" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' ||
        cannot "no GPU: torch.cuda.is_available() is False, or does not answer (COG_GPU_CHECK_DEVICE=cpu checks a CPU)"
fi

say "cog doctor"
within $((ALL * 3 / 10)) "$PYTHON" -m cog doctor --device "$DEVICE" --out "$WORK" --json > "$WORK/doctor.json"
STATUS=$?
ended "cog doctor" $STATUS
[ -s "$WORK/doctor.json" ] || echo null > "$WORK/doctor.json"
line check='"cog doctor"' status=$STATUS found="$(cat "$WORK/doctor.json")"

say "tests/gpu"
MARK=gpu
[ "$DEVICE" != cpu ] || MARK="not gpu and not long"
# Without the plugins that this Python may have for other projects: one of them could make these tests fail.
PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 within $((ALL / 4)) "$PYTHON" -m pytest -q -m "$MARK" -W default -p no:cacheprovider tests/gpu > "$WORK/tests.txt"
STATUS=$?
cat "$WORK/tests.txt" >&2
ended "tests/gpu" $STATUS
line check='"tests/gpu"' status=$STATUS \
    summary="$(quoted "$(tail -n 1 "$WORK/tests.txt")")" \
    failures="$(grep -E '^(FAILED|ERROR) ' "$WORK/tests.txt" |
        "$PYTHON" -c 'import json, sys; print(json.dumps([line.strip() for line in sys.stdin]))')"

say "benchmarks/gpu.py"
SMALL=""
STEPS=lbfgs,sgd,forward-resnet50,forward-vit  # not the pipeline: `cog doctor` has measured the same, by the same code
[ "$DEVICE" != cpu ] || SMALL=--small
LEFT=$((ENDS - SECONDS - GRACE - 12))  # it ends its own steps; the rest is for itself to start and end
[ $LEFT -ge 1 ] || LEFT=1
within $((LEFT + 10)) "$PYTHON" benchmarks/gpu.py --device "$DEVICE" --seconds "$LEFT" --only "$STEPS" $SMALL
STATUS=$?
ended "benchmarks/gpu.py" $STATUS

VERDICT=ok
[ -z "$FAILED" ] || VERDICT=failed
line verdict="$(quoted $VERDICT)" failed="$(quoted "$FAILED")" device="$(quoted "$DEVICE")" seconds=$SECONDS
[ "$VERDICT" = ok ]
