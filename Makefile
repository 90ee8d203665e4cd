# Everything runs in .venv, which is made here: a machine needs Python (3.10 or newer) and make, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.PHONY: demo test lint bench clean

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "Python 3.10 or newer is needed: make PYTHON=/path/to/python3" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

# An install ends with an empty file named for its extra; a change of pyproject.toml makes it stale.
$(VENV)/.installed-%: pyproject.toml | $(BIN)/python
	@echo "Installing pyramid-attention[$*] into $(VENV) (PyTorch is large: some minutes the first time)"
	$(PIP) --editable '.[$*]'
	@touch $@

demo: $(VENV)/.installed-train
	$(BIN)/pan demo

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadscope

bench: $(VENV)/.installed-bench
	$(BIN)/python benchmarks/train_step.py
	$(BIN)/python benchmarks/loader.py
	$(BIN)/python benchmarks/inference.py latency
	$(BIN)/python benchmarks/inference.py folder
	$(BIN)/python benchmarks/inference.py install

clean:
	rm -rf build dist demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
