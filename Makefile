# The same commands for people and CI. State of this machine: .venv, .venv-engines, .cache, .ccr.
PYTHON ?= python3
ENGINES ?= $(or $(CCR_ENGINES),embedded)
# Of the soak: others each day, the same where it is said.
SEED ?= $(shell date +%Y%m%d)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help run test lint reference check package templates bench soak kill-test round-trip push-table session clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

run: $(VENV)/local.stamp ## serve a registry on 127.0.0.1:5000 (CCR_PORT, CCR_HOST, CCR_DATA, CCR_ADMIN_PASSWORD; ENGINES=real)
	@CCR_ENGINES=$(ENGINES) exec $(BIN)/python -m ccr run

test: $(VENV)/dev.stamp .venv-templates/stamp ## run every test that this machine can; the rest skips with its reason
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

lint: $(VENV)/dev.stamp ## ruff, mypy, import contracts, generated documents
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m ccr.reference --check
	$(BIN)/python -m ccr.schemas --check
	$(BIN)/python -m ccr.examples --check
	$(BIN)/python -m infra.templates --check

reference: $(VENV)/dev.stamp ## write docs/reference.md, docs/schemas and the examples of docs/cost.md from the code
	$(BIN)/python -m ccr.reference
	$(BIN)/python -m ccr.schemas
	$(BIN)/python -m ccr.examples

package: $(VENV)/dev.stamp ## build/package/package.zip for the functions: the same bytes for the same input; needs Python 3.13
	@$(BIN)/python -m infra.packaging

templates: $(VENV)/dev.stamp ## write infra/cloudformation and what infra/terraform reads from the code
	$(BIN)/python -m infra.templates

check: lint test ## what a change must pass

bench: $(VENV)/dev.stamp ## measure pushes, pulls, requests and tokens, beside docker-registry where it is installed
	$(BIN)/python -m tests.benchmarks
	$(BIN)/python -m tests.benchmarks.tokens
	$(BIN)/python -m tests.benchmarks.gateway
	$(BIN)/python -m tests.benchmarks.push
	$(BIN)/python -m tests.benchmarks.collection
	$(BIN)/python -m tests.benchmarks.cold_start

soak: $(VENV)/dev.stamp ## a million steps of everything beside its model, 20,000 on moto and engines, 1,000 faulted pushes, collectors killed at random
	CCR_SEED=$(SEED) CCR_PROPERTIES=long $(BIN)/python -m pytest -n auto -rP tests/properties/test_everything.py \
		tests/properties/test_pairs.py tests/endpoints/test_faults.py
	$(BIN)/python -m tests.properties.soak --backend moto --steps 10000 --seed $(SEED)
	$(BIN)/python -m tests.properties.soak --backend embedded --steps 5000 --seed $(SEED)
	$(BIN)/python -m tests.properties.soak --backend real --steps 5000 --seed $(SEED)
	$(BIN)/python -m tests.engines.collection_soak --engines embedded --seconds 600
	$(BIN)/python -m tests.engines.collection_soak --engines real --seconds 600

kill-test: $(VENV)/dev.stamp ## kill -9 of everything during pushes, 20 times on each engine set
	$(BIN)/python -m tests.engines.kill --engines embedded --tries 20
	$(BIN)/python -m tests.engines.kill --engines real --tries 20

round-trip: $(VENV)/dev.stamp ## push and pull a 1 GiB layer with every client on this machine
	$(BIN)/python -m tests.clients.round_trip --mebibytes 1024

session: $(VENV)/dev.stamp ## an account, robots, promotion and rotation with docker and skopeo, step by step, each checked
	$(BIN)/python -m tests.clients.session

push-table: $(VENV)/dev.stamp ## which client pushes how large a layer to which deployment
	$(BIN)/python -m tests.clients.push_table

clean: ## remove the environments and caches, not .ccr
	rm -rf $(VENV) .venv-engines .venv-templates build .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'Python 3.11 or newer is needed: make PYTHON=python3.12 ...'; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo 'On Debian: apt-get install python3-venv'; exit 1; }

$(VENV)/local.stamp: $(VENV)/bin/python pyproject.toml requirements.txt requirements-local.txt
	$(PIP) -r requirements-local.txt
	$(PIP) --no-deps --editable .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/bin/python pyproject.toml requirements.txt requirements-local.txt requirements-dev.txt
	$(PIP) -r requirements-dev.txt
	$(PIP) --no-deps --editable .
	@touch $@ $(VENV)/local.stamp

.venv-templates/stamp: $(VENV)/bin/python requirements-templates.txt
	@$(BIN)/python -m venv .venv-templates
	@.venv-templates/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-templates.txt
	@touch $@
