# Every target sets itself up: a virtual environment in $(VENV), installed into only when pyproject.toml has changed.
# GNU make 3.81, which macOS ships, is enough.

VENV ?= .venv
PYTHON ?= python3
WORKERS ?= 2
ARGS ?=

BIN := $(VENV)/bin
HASH := $(shell cksum < pyproject.toml | tr ' ' '-')
STAMP := $(VENV)/.difflab-$(HASH)
PYTEST = exec env OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist=worksteal

# Before any editable install on the path: an environment that several checkouts share imports this one.
export PYTHONPATH := $(CURDIR)/src

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help train test check lint format benchmark clean here

help:  ## this list
	@echo 'make TARGET [ARGS="..."] [VENV=.venv] [PYTHON=python3] [WORKERS=2]'
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' Makefile

train: $(STAMP)-core here  ## train, sample and score: python train.py ARGS
	@exec $(BIN)/python train.py $(ARGS)

test: $(STAMP)-dev here  ## the whole test-suite, by WORKERS processes; ARGS go to pytest
	@$(PYTEST) $(ARGS)

check: lint  ## lint, then all but the slow tests: under two minutes
	@$(PYTEST) -m "not slow" $(ARGS)

lint: $(STAMP)-dev here  ## format, lint, types and import contracts; changes nothing
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m ruff check .
	$(BIN)/python -m pyrefly check --python-interpreter-path $(BIN)/python
	$(BIN)/lint-imports --no-logo

format: $(STAMP)-dev  ## format the code and mend what the linter can
	$(BIN)/python -m ruff check --fix-only .
	$(BIN)/python -m ruff format .

benchmark: $(STAMP)-bench here  ## measure against a bare loop and other libraries: python scripts/benchmark.py ARGS
	@exec $(BIN)/python scripts/benchmark.py $(ARGS)

clean:  ## remove caches and builds; the environment, data and outputs stay
	rm -rf build dist .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage
	find src tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +

# What will be imported lies in this checkout.
here:
	@$(BIN)/python -c 'import importlib.util, os, sys; \
	found = importlib.util.find_spec("difflab").submodule_search_locations[0]; \
	os.path.samefile(found, "src/difflab") or sys.exit("difflab would be imported from " + found + ", not from here")'

NAME_ONE := Name one: make PYTHON=python3.12 ...

$(STAMP)-core: EXTRA =
$(STAMP)-dev: EXTRA = [dev]
$(STAMP)-bench: EXTRA = [bench]

# The lock belongs to descriptor 9 of the shell and ends with it, however that ends; Python takes it, because macOS has
# no flock(1). Whoever waited for it finds the stamp and is done.
$(STAMP)-core $(STAMP)-dev $(STAMP)-bench:
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo "difflab needs Python 3.11 or newer; there is no $(PYTHON) here. $(NAME_ONE)" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "difflab needs Python 3.11 or newer; $(PYTHON) is `"$(PYTHON)" --version 2>&1`. $(NAME_ONE)" >&2; exit 1; }
	@"$(PYTHON)" -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "$(PYTHON) lacks its venv module; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@mkdir -p "$(dir $(VENV))"; \
	exec 9>"$(VENV).lock"; \
	"$(PYTHON)" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)' || exit 1; \
	if [ -e "$@" ]; then exit 0; fi; \
	set -e; \
	if [ -e "$(VENV)/pyvenv.cfg" ] && ! "$(BIN)/python" -c ''; then "$(PYTHON)" -m venv --clear "$(VENV)"; fi; \
	"$(BIN)/python" -m pip --version >/dev/null 2>&1 || "$(PYTHON)" -m venv "$(VENV)"; \
	"$(BIN)/python" -m pip install --disable-pip-version-check -e '.$(EXTRA)'; \
	find "$(VENV)" -maxdepth 1 -name '.difflab-*' ! -name '.difflab-$(HASH)-*' -delete; \
	touch "$(STAMP)-core" "$@"
