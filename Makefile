# `make up` runs a fleet on this machine; `make check` and `make test` test it.

PYTHON ?= python3
# The torch package to install. On a machine with a GPU another build may be needed.
TORCH ?= torch==2.13.0
VENV := .venv
BIN := $(VENV)/bin
# The first image builder that is installed.
BUILDER ?= $(firstword $(foreach one,buildah podman docker,$(if $(shell command -v $(one)),$(one))))
REGISTRY ?= ghcr.io/flamingo-fleet
VERSION ?= $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
PIP := $(BIN)/python -m pip --quiet --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help up test check check-types check-tests lint format constraints images clean

help: ## List the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

up: $(VENV)/.installed ## Run a fleet on this machine: one router and two pods with the built-in tiny model
	@$(BIN)/flamingo up $(ARGS)

# Unit and contract tests share nothing, so they run side by side; the others use both cores.
test: $(VENV)/.installed-dev ## Run all tests that this machine supports; ARGS are pytest's
ifdef ARGS
	@$(BIN)/python -m pytest $(ARGS)
else
	@$(BIN)/python -m pytest --numprocesses auto tests/unit tests/contract
	@$(BIN)/python -m pytest --ignore tests/unit --ignore tests/contract
endif

check: $(VENV)/.installed-dev ## Run linters, type checks, unit and contract tests (under a minute on two cores)
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet
	@$(MAKE) --no-print-directory --jobs 2 --output-sync check-types check-tests

check-types:
	@$(BIN)/mypy

# The contract tests include the import contracts. Without a limit, torch would use all cores in each process.
check-tests: export FLAMINGO_TEST_EFFORT := quick
check-tests: export OMP_NUM_THREADS := 1
check-tests:
	@$(BIN)/python -m pytest --numprocesses auto --quiet tests/unit tests/contract $(ARGS)

lint: $(VENV)/.installed-dev ## Run ruff, mypy and the import contracts
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

format: $(VENV)/.installed-dev ## Format the code with ruff
	@$(BIN)/ruff check --fix --quiet
	@$(BIN)/ruff format

constraints: ## Write the newest versions that work together to constraints.txt
	@PYTHON="$(PYTHON)" TORCH="$(TORCH)" ./tests/contract/write_constraints.sh

# Unlike podman and docker, buildah caches layers only if this variable is set.
images: export BUILDAH_LAYERS ?= true
images: ## Build the images of pod, router and operator; ARGS are passed to the builder
	@test -n "$(BUILDER)" || { echo "make: no image builder found; install buildah, podman or docker (Debian, Ubuntu: apt install buildah)" >&2; exit 1; }
	@set -e; for image in inference_pod:pod router:router operator:operator; do \
	    echo "building $(REGISTRY)/$${image#*:}:$(VERSION)"; \
	    $(BUILDER) build $(ARGS) --build-arg VERSION="$(VERSION)" --build-arg REVISION="$$(git rev-parse HEAD 2>/dev/null)" \
	        --tag "$(REGISTRY)/$${image#*:}:$(VERSION)" --file "$${image%:*}/Dockerfile" .; \
	done

clean: ## Remove the virtual environment and all build output
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) not found; install Python 3.11 or newer (Debian, Ubuntu: apt install python3 python3-venv)" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: $(PYTHON) is $$($(PYTHON) -V 2>&1); Python 3.11 or newer is required: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "make: $(PYTHON) has no venv module (Debian, Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@echo "creating $(VENV) with $$($(PYTHON) -V)"
	@$(PYTHON) -m venv $(VENV)

# torch is installed first and separately, so that no other package selects a different build.
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing dependencies; this takes a few minutes the first time"
	@$(PIP) install "$(TORCH)"
	@$(PIP) install --constraint constraints.txt --editable ".[pod,router]"
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/.installed
	@$(PIP) install --constraint constraints.txt --editable ".[pod,router,operator,otel,dev]"
	@touch $@
