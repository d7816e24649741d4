#!/usr/bin/env bash
# The package as a user gets it:
#
#     tools/try_package.sh [DIST]
#
# It builds the sdist from what git has of this clone, and the wheel from that sdist; checks both as PyPI does; installs
# the wheel into a fresh environment, with its dependencies and no extra; and there, in another folder and without a
# home folder that can be written, it builds levels and runs the demo. It needs a network, git and PYTHON (python3). DIST
# is a folder for the two files.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
mkdir "$WORK/source" "$WORK/elsewhere"

git ls-files -z --cached --others --exclude-standard | tar --null -cf - -T - | tar -xf - -C "$WORK/source"
"$PYTHON" -m venv "$WORK/tools"
"$WORK/tools/bin/pip" install --quiet "build>=1.2" "twine>=6.1"
"$WORK/tools/bin/python" -m build --outdir "$WORK/dist" "$WORK/source" > "$WORK/build.log" 2>&1 || { cat "$WORK/build.log"; exit 1; }
"$WORK/tools/bin/twine" check --strict "$WORK"/dist/*

"$PYTHON" -m venv "$WORK/fresh"
"$WORK/fresh/bin/pip" install --quiet "$WORK"/dist/*.whl
"$WORK/fresh/bin/pip" check
cd "$WORK/elsewhere"
# /dev/null is no folder, so that nothing can be written below it, not even by root.
export HOME=/dev/null XDG_CACHE_HOME=/dev/null XDG_CONFIG_HOME=/dev/null COG_HOME=/dev/null PYTHONNOUSERSITE=1
unset PYTHONPATH
"$WORK/fresh/bin/python" -c 'import importlib.util as look, sys; sys.exit(look.find_spec("pytest") is not None)' ||
    { echo "expected an environment without the tests' packages, found pytest" >&2; exit 1; }
"$WORK/fresh/bin/cog" --version
"$WORK/fresh/bin/cog" build-levels --eligible official --out levels
"$WORK/fresh/bin/cog" levels compare official levels
"$WORK/fresh/bin/cog" demo
"$WORK/fresh/bin/cog" report cog-demo --out page.html --svg figures
"$WORK/fresh/bin/cog" verify cog-demo
ls "$WORK/elsewhere" figures
[ $# -eq 0 ] || { cd "$OLDPWD"; mkdir -p "$1"; cp "$WORK"/dist/* "$1"; ls -l "$1"; }
