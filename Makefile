# Everything runs in the project's own environment; `make help` lists what there is.
ENOUGH := -c 'import sys; sys.exit(sys.version_info < (3, 11))'
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do $$name $(ENOUGH) 2>/dev/null && { echo $$name; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
# Only `make DATA=...` is taken: a DATA of the environment is somebody else's, and `clean` removes.
DATA := .local
STACK ?= embedded
GEMINI ?=
export PYTHONPATH := $(CURDIR)/shared:$(CURDIR)
PARALLEL := -n auto --dist worksteal
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes

.PHONY: help demo up gemini-emulator test test-fast fault check lint types imports bench requirements preview deploy destroy clean
.DEFAULT_GOAL := help

help: ## Show this list
	@grep -hE '^[a-z -]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | awk -F'\t' '{printf "  %-16s %s\n", $$1, $$2}'

$(VENV)/.python:
	@test -n "$(PYTHON)" && $(PYTHON) $(ENOUGH) 2>/dev/null || \
	  { echo "Python 3.11 or newer is missing: install it, or set PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "Python's venv module is missing: on Debian and Ubuntu, apt install python3-venv"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.runtime: $(VENV)/.python requirements.txt
	@echo "installing the runtime into $(VENV)"
	@test -e $(VENV)/.dev || $(INSTALL) -r requirements.txt
	@touch $@

$(VENV)/.dev: $(VENV)/.python requirements-dev.txt
	@echo "installing the development tools into $(VENV)"
	@$(INSTALL) -r requirements-dev.txt
	@touch $@ $(VENV)/.runtime

demo: $(VENV)/.runtime ## Run a sample (or INPUT=file MODEL=name GEMINI=live STACK=emulators) end to end
	@$(BIN)/python -m infra.local.demo --stack $(STACK) --data $(DATA)/demo $(if $(INPUT),--input "$(INPUT)") \
	  $(if $(MODEL),--model $(MODEL)) $(if $(GEMINI),--gemini "$(GEMINI)")

up: $(VENV)/.runtime ## Keep a stack running: STACK=embedded (default) or STACK=emulators
	@exec $(BIN)/python -m infra.local.up --stack $(STACK) --data $(DATA)/$(STACK) $(if $(GEMINI),--gemini "$(GEMINI)") \
	  $(if $(QUIET),--quiet-seconds $(QUIET))

gemini-emulator: $(VENV)/.runtime ## Run the Gemini emulator alone: PORT=8085
	@exec $(BIN)/python -m infra.local.gemini --port $(or $(PORT),8085) --data $(DATA)/gemini

test: $(VENV)/.dev ## All tests that need no account; Google's emulators are used when they are there
	@$(BIN)/python -m pytest tests $(PARALLEL)

test-fast: $(VENV)/.dev ## Unit and property tests only
	@$(BIN)/python -m pytest tests/unit tests/property

fault: $(VENV)/.dev ## Crashes at every point, SEEDS=2000 simulated runs, killed processes, guards switched off; or one SEED=7
	@FAULT=full SEEDS=$(or $(SEEDS),$(if $(SEED),1,2000)) $(if $(SEED),SEED=$(SEED)) $(BIN)/python -m pytest \
	  $(if $(SEED),tests/fault/test_simulation.py -k seed_breaks,tests/fault) $(PARALLEL) -rP

check: lint types imports ## What CI runs: lint, types, import rules, all tests with Google's emulators required, 2,000 seeds
	@BATCHDROP_REQUIRE_EMULATORS=1 $(BIN)/python -m pytest tests --ignore tests/fault $(PARALLEL) --cov
	@BATCHDROP_REQUIRE_EMULATORS=1 SEEDS=$(or $(SEEDS),2000) $(BIN)/python -m pytest tests/fault $(PARALLEL)

lint: $(VENV)/.dev ## Style and formatting
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(VENV)/.dev ## Types, strictly
	@$(BIN)/pyright

imports: $(VENV)/.dev ## The direction of dependencies
	@$(BIN)/lint-imports --no-cache

bench: $(VENV)/.dev ## Ratios against a floor measured in the same run; SIZE=small takes less than a minute
	@$(BIN)/python -m tests.bench --size $(or $(SIZE),full)

requirements: $(VENV)/.dev ## Pin all dependencies again (needs uv)
	@command -v uv >/dev/null || { echo "uv is missing: pip install uv"; exit 1; }
	@for set in "requirements.txt local" "requirements-dev.txt dev" "functions/submit/requirements.txt submit" \
	  "functions/poll/requirements.txt poll" "functions/write/requirements.txt write"; do set -- $$set; \
	  uv pip compile -q pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	    --no-emit-index-url --no-emit-find-links --extra $$2 -o $$1 || exit 1; done

preview deploy destroy: $(VENV)/.dev ## Show, make or remove the cloud stack with Pulumi (preview, deploy, destroy)
	@command -v pulumi >/dev/null || { echo "the Pulumi CLI is missing: see pulumi.com/docs/install"; exit 1; }
	@cd infra && pulumi $(if $(filter deploy,$@),up,$@)

clean: ## Remove the environment, and the local data that we made (never another folder)
	@test ! -d "$(DATA)" || "$(PYTHON)" -m infra.local.cleaning "$(DATA)"
	@rm -rf $(VENV) .pytest_cache .ruff_cache .coverage
