# Every target works on a fresh machine: it makes .venv itself. PYTHON chooses the interpreter (3.11 or newer).
PYTHON ?= python3
BIN = .venv/bin
READY = .venv/.ready

.PHONY: demo test test-long check bench

demo: $(READY)
	$(BIN)/cog demo
	$(BIN)/cog report cog-demo --svg cog-demo/figures
	mkdir -p examples/demo && cp cog-demo/figures/accuracy.svg cog-demo/figures/concepts.svg examples/demo

test: $(READY)
	$(BIN)/python -m pytest -m "not long"

test-long: $(READY)
	$(BIN)/python -m pytest -m long

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(READY)
	for file in benchmarks/*.py; do $(BIN)/python $$file || exit 1; done

$(READY): setup.cfg pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e '.[test,check]'
	touch $(READY)
