# `make up` runs a fleet on this machine; `make check` and `make test` test it.

PYTHON ?= python3
# The torch package to install. On a machine with a GPU another build may be needed.
TORCH ?= torch==2.13.0
VENV := .venv
BIN := $(VENV)/bin
# The first image builder that is installed.
BUILDER ?= $(firstword $(foreach one,buildah podman docker,$(if $(shell command -v $(one)),$(one))))
REGISTRY ?= ghcr.io/flamingo-fleet
IMAGES ?= pod router operator batches
# With @sha256:…, the digest becomes a label.
PYTHON_IMAGE ?= docker.io/library/python:3.11-slim-bookworm
VERSION ?= $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
PIP := $(BIN)/python -m pip --quiet --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help up test check check-types check-tests lint format constraints clients charts install.yaml site images clean

help: ## List the targets
	@grep -E '^[a-z.]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

up: $(VENV)/.installed ## Run a fleet on this machine: one router and two pods with the built-in tiny model
	@$(BIN)/flamingo up $(ARGS)

# Unit and contract tests share nothing. The others run side by side by file, or by folder if they share
# a cluster, because they wait more than they compute. Without a limit, torch would use all cores in each.
test: export OMP_NUM_THREADS := 1
test: $(VENV)/.installed-dev ## Run all tests that this machine supports; ARGS are pytest's
ifdef ARGS
	@$(BIN)/python -m pytest $(ARGS)
else
	@$(BIN)/python -m pytest --numprocesses auto tests/unit tests/contract
	@$(BIN)/python -m pytest --numprocesses 3 --dist loadscope --no-loadscope-reorder --ignore tests/unit --ignore tests/contract
endif

check: $(VENV)/.installed-dev ## Run linters, type checks, unit and contract tests (some two minutes on two cores)
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

constraints: $(BIN)/uv ## Write the newest versions that work together to constraints.txt, and the locks of the images
	@PYTHON="$(PYTHON)" TORCH="$(TORCH)" ./tests/contract/write_constraints.sh
	@TORCH="$(TORCH)" ./release/write_locks.sh

$(BIN)/uv: $(VENV)/.installed-dev

clients: $(VENV)/.installed-dev ## Write the newest versions of the Python clients that are tested
	@set -e; cd tests/fleet/clients/python; for one in *.in; do \
	    "$(CURDIR)/$(BIN)/uv" pip compile --quiet --upgrade --universal --python-version 3.11 --no-annotate --no-header "$$one" --output-file "$${one%.in}.txt"; \
	done

charts: $(VENV)/.installed-dev ## Write what is generated in the Helm charts: CRD, RBAC rules, schemas, tables of values, dashboards
	@$(BIN)/python -m flamingo_operator.crd
	@$(BIN)/python -m flamingo_operator.rbac
	@$(BIN)/python helm/generate/operator_schema.py
	@$(BIN)/python helm/generate/fleet_schema.py
	@$(BIN)/python helm/generate/readme.py
	@$(BIN)/python helm/dashboards/write_dashboards.py

install.yaml: $(VENV)/.installed-dev ## Write install.yaml, the operator's objects for kubectl apply, from its chart; needs helm
	@$(BIN)/python helm/generate/install_yaml.py

site: $(VENV)/.installed-dev ## Build the site of the documentation in build/site
	@$(BIN)/python release/build_site.py

# Unlike podman and docker, buildah caches layers only if this variable is set.
images: export BUILDAH_LAYERS ?= true
images: ## Build the images, or those in IMAGES; ARGS are passed to the builder
	@test -n "$(BUILDER)" || { echo "make: no image builder found; install buildah, podman or docker (Debian, Ubuntu: apt install buildah)" >&2; exit 1; }
	@set -e; for image in $(IMAGES); do \
	    folder=$$image; [ $$image != pod ] || folder=inference_pod; \
	    echo "building $(REGISTRY)/$$image:$(VERSION)"; \
	    $(BUILDER) build $(ARGS) --build-arg VERSION="$(VERSION)" --build-arg PYTHON_IMAGE="$(PYTHON_IMAGE)" \
	        --build-arg REVISION="$$(git rev-parse HEAD 2>/dev/null)" --build-arg CREATED="$$(git log -1 --format=%cI 2>/dev/null)" \
	        $(if $(findstring @,$(PYTHON_IMAGE)),--label org.opencontainers.image.base.digest=$(lastword $(subst @, ,$(PYTHON_IMAGE)))) \
	        --tag "$(REGISTRY)/$$image:$(VERSION)" --file "$$folder/Dockerfile" .; \
	done

clean: ## Remove the virtual environment and all build output
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .clients

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) not found; install Python 3.11 or newer (Debian, Ubuntu: apt install python3 python3-venv)" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: $(PYTHON) is $$($(PYTHON) -V 2>&1); Python 3.11 or newer is required: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "make: $(PYTHON) has no venv module (Debian, Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@echo "creating $(VENV) with $$($(PYTHON) -V)"
	@$(PYTHON) -m venv $(VENV)

# torch is installed first and separately, so that no other package selects a different build.
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "1 of 2: installing $(TORCH): about 200 MB to download for CPUs; several GB with CUDA, pip's default on Linux"
	@$(PIP) install "$(TORCH)"
	@echo "2 of 2: installing the packages of pods, router and client: about 300 MB to download"
	@$(PIP) install --constraint constraints.txt --editable ".[pod,router,measure]"
	@echo "installed in $(VENV): $$(du -sh $(VENV) | cut -f1); activate it with: . $(BIN)/activate"
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/.installed
	@echo "installing what development needs, linters, types and test servers: about 400 MB to download"
	@$(PIP) install --constraint constraints.txt --editable ".[pod,batch,router,operator,batches,measure,otel,dev]"
	@touch $@
