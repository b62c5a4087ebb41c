# Every target sets up what it needs in .venv: Python 3.11 or newer, pip, git and make are enough to begin with.

SHELL := /bin/sh
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed
# Each worker may run the whole test suite of a service.
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest -n $(WORKERS)

.PHONY: help demo new test test-fast test-all lint fmt bench docs clean
.DEFAULT_GOAL := help

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /	/' | expand -t 12

demo: $(INSTALLED)  ## See the default service survive its dependencies
	@$(BIN)/python -m demo.run

new: $(INSTALLED)  ## Render a project: make new DEST=../billing [ARGS='-d example=false']
	@if [ -z "$(DEST)" ]; then echo "Say where: make new DEST=../my-service" >&2; exit 2; fi
	@$(BIN)/copier copy --vcs-ref HEAD $(ARGS) "$(CURDIR)" "$(DEST)"

test: lint  ## Check the template: every pair of answers is rendered, installed and checked
	@$(PYTEST) -m 'not all' $(ARGS)

test-fast: $(INSTALLED)  ## Render and inspect only; installs no service
	@$(PYTEST) -m 'not slow and not all' $(ARGS)

test-all: lint  ## Check the template with every combination of features
	@$(PYTEST) --hypothesis-profile=thorough $(ARGS)

lint: $(INSTALLED)  ## Check style and types of the tests and tools
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/ruff check --quiet
	@$(BIN)/mypy $(wildcard bench demo tests)

fmt: $(INSTALLED)  ## Format, and mend what can be mended
	@$(BIN)/ruff check --fix --quiet
	@$(BIN)/ruff format

bench: $(INSTALLED)  ## Measure against the bars, into build/bench.json
	@$(BIN)/python -m bench

docs: $(INSTALLED)  ## Check that what the documents point at exists
	@$(BIN)/python -m tests.references

clean:  ## Remove what can be made again
	@rm -rf .venv .hypothesis .mypy_cache .pytest_cache .ruff_cache build

$(INSTALLED): pyproject.toml
	@if ! $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
		echo "Python 3.11 or newer is needed; name it: make PYTHON=/path/to/python" >&2; exit 1; \
	fi
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --group dev
	@touch $@
