# Every target works on a fresh machine: it makes .venv itself. PYTHON chooses the interpreter (3.11 or newer),
# EXTRAS what is installed beside the requirements (test-core in place of test: without optional extras).
PYTHON ?= python3
EXTRAS ?= test,check,docs
WORKERS ?= auto
BIN = .venv/bin
READY = .venv/.ready
DEMO = .venv-demo
# A worker begins with neighbouring tests, which share fixtures, and takes over others' when it is through.
PYTEST = $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

.PHONY: demo test test-long test-gpu test-install test-lowest torture lint check bench docs image

# In an environment of its own, made from the lock: the numbers are README's (cog/demo/arithmetic.py).
demo: $(DEMO)/.ready
	$(DEMO)/bin/cog demo
	$(DEMO)/bin/python tools/picture_of_page.py cog-demo/report.html examples/demo/report.png

$(DEMO)/.ready: requirements/lock.txt setup.cfg
	$(PYTHON) -m venv $(DEMO)
	$(DEMO)/bin/python -m pip install --quiet --require-hashes -r requirements/lock.txt
	$(DEMO)/bin/python -m pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

test: $(READY)
	$(PYTEST) -m "not long and not gpu" $(COVERAGE)

# One worker: the largest network of the table alone takes 12 GB.
test-long: WORKERS = 1
test-long: $(READY)
	$(PYTEST) -m "long and not gpu"

# The GPU against the CPU: decoding, features, probes, graphs, memory. Without a GPU all of them skip and say so.
# A warning of another version of a library is shown there, and fails nothing.
test-gpu: $(READY)
	$(BIN)/python -m pytest -m gpu -W default tests/gpu

# The wheel and the sdist, built, checked, and tried in a fresh environment with nothing but its dependencies (4 minutes,
# 6 GB). DIST=folder keeps the two files.
test-install:
	PYTHON=$(PYTHON) tools/try_package.sh $(DIST)

# The tests of LOWEST with the oldest version of every dependency that setup.cfg allows, in an environment of their own.
test-lowest:
	PYTHON=$(PYTHON) tools/try_lowest.sh $(LOWEST)

# DEVICE=cuda makes the image for NVIDIA GPUs.
DEVICE ?= cpu
image:
	docker build --tag cog:$(DEVICE) --build-arg DEVICE=$(DEVICE) .
	docker run --rm cog:$(DEVICE) build-levels --eligible official --out levels

# Kills, failing calls, damaged files and images, many processes at once, odd environments: half an hour, or
# TORTURE_HOURS; the summary goes into docs/reliability.md. TORTURE="--seed 7 --only kills" chooses.
torture: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.torture --write $(TORTURE)

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# `make test` under coverage; [coverage:report] in setup.cfg has the floor. Without extras, what they bring is not
# reached: the floor is lower.
FLOOR = $(if $(findstring test-core,$(EXTRAS)),--cov-fail-under=90)
check: COVERAGE = --cov --cov-report=term:skip-covered $(FLOOR)
check: lint test

# The documentation's site into site/; any warning is an error. `python -m http.server -d site` serves it, search included.
docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

bench: $(READY)
	for file in benchmarks/*.py; do $(BIN)/python $$file || exit 1; done

$(READY): setup.cfg pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e '.[$(EXTRAS)]'
	touch $(READY)
