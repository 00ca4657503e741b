# Two commands matter: `make up` runs a fleet on this machine, `make test` proves it.

PYTHON ?= python3
# With pip, torch is chosen by hand: a machine with a GPU may want another build.
TORCH ?= torch==2.13.0
VENV := .venv
BIN := $(VENV)/bin
# What builds images, whichever is there.
BUILDER ?= $(firstword $(foreach one,buildah podman docker,$(if $(shell command -v $(one)),$(one))))
REGISTRY ?= ghcr.io/flamingo-fleet
VERSION ?= $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
PIP := $(BIN)/python -m pip --quiet --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help up test check check-types check-tests lint format constraints images clean

help: ## Say what can be made
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

up: $(VENV)/.installed ## Run a fleet here: one router, two pods, the built-in tiny model
	@$(BIN)/flamingo up $(ARGS)

test: $(VENV)/.installed-dev ## Run every test that this machine can run
	@$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/.installed-dev ## Lint, types, unit and contract tests: under a minute on two cores
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet
	@$(MAKE) --no-print-directory --jobs 2 --output-sync check-types check-tests

check-types:
	@$(BIN)/mypy

# The import contracts are among the contract tests. torch alone would take both cores in each process.
check-tests: export FLAMINGO_TEST_EFFORT := quick
check-tests: export OMP_NUM_THREADS := 1
check-tests:
	@$(BIN)/python -m pytest --numprocesses auto --quiet tests/unit tests/contract $(ARGS)

lint: $(VENV)/.installed-dev ## ruff, mypy and the import contracts
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

format: $(VENV)/.installed-dev ## Let ruff write the code's shape
	@$(BIN)/ruff check --fix --quiet
	@$(BIN)/ruff format

constraints: ## Pin the newest versions that work together into constraints.txt
	@PYTHON="$(PYTHON)" TORCH="$(TORCH)" ./tests/contract/write_constraints.sh

# Of the three builders only buildah has to be told to keep its layers for the next time.
images: export BUILDAH_LAYERS ?= true
images: ## Build the images of pod, router and operator; ARGS are the builder's
	@test -n "$(BUILDER)" || { echo "make: buildah, podman and docker are missing; install one (Debian, Ubuntu: apt install buildah)" >&2; exit 1; }
	@set -e; for image in inference_pod:pod router:router operator:operator; do \
	    echo "building $(REGISTRY)/$${image#*:}:$(VERSION)"; \
	    $(BUILDER) build $(ARGS) --build-arg VERSION="$(VERSION)" --build-arg REVISION="$$(git rev-parse HEAD 2>/dev/null)" \
	        --tag "$(REGISTRY)/$${image#*:}:$(VERSION)" --file "$${image%:*}/Dockerfile" .; \
	done

clean: ## Remove the environment and everything built
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) is missing; install Python 3.11 or newer (Debian, Ubuntu: apt install python3 python3-venv)" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: $(PYTHON) is $$($(PYTHON) -V 2>&1); Python 3.11 or newer is needed: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "make: $(PYTHON) has no venv module (Debian, Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@echo "making $(VENV) with $$($(PYTHON) -V)"
	@$(PYTHON) -m venv $(VENV)

# torch goes first and by itself: once one is there, nothing asks for another.
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing; the first time takes a few minutes"
	@$(PIP) install "$(TORCH)"
	@$(PIP) install --constraint constraints.txt --editable ".[pod,router]"
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/.installed
	@$(PIP) install --constraint constraints.txt --editable ".[pod,router,operator,otel,dev]"
	@touch $@
