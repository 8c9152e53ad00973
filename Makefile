# Everything runs in the project's own environment; `make help` lists what there is.
# An environment of your own making in .venv is used as it is: without pip in it (`uv venv`), uv installs.
SUPPORTED := -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))'
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11 python3.14; do \
  $$name $(SUPPORTED) 2>/dev/null && { echo $$name; break; }; done)
VENV := $(if $(LATEST),.venv-latest,.venv)
BIN := $(VENV)/bin
# Only `make DATA=...` is taken: a DATA of the environment is somebody else's, and `clean` removes.
DATA := .local
# Nor is MOVED: it is meant for one start.
MOVED :=
STACK ?= embedded
GEMINI ?=
PROVIDER ?=
export PYTHONPATH := $(CURDIR)/shared:$(CURDIR)
PARALLEL := -n auto --dist worksteal

# A lock is complete: it is installed as it stands, so no release that appears later can change or break it.
# LATEST=1 takes the newest releases that pyproject.toml allows, and lists the newer ones that it does not.
PIP := $(BIN)/python -m pip --disable-pip-version-check
UV := --quiet --python $(BIN)/python
LOCKED := --no-deps --require-hashes
ifdef LATEST
INSTALL = $(PIP) install --quiet --upgrade pip && $(PIP) install --quiet --upgrade --upgrade-strategy eager '.[$(2)]' && \
  $(PIP) check && $(PIP) list --outdated
else
INSTALL = if $(BIN)/python -c 'import pip' 2>/dev/null; then $(PIP) install --quiet $(LOCKED) -r $(1) && $(PIP) check; \
  else uv pip install $(UV) $(LOCKED) -r $(1) && uv pip check $(UV); fi
endif

.PHONY: help demo up gemini-emulator test test-fast fault check lint types imports installs bench requirements \
  pulumi-cli preview deploy destroy smoke clean
.DEFAULT_GOAL := help

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z -]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.python:
	@if $(BIN)/python $(SUPPORTED) 2>/dev/null; then true; \
	elif ! $(or $(PYTHON),false) $(SUPPORTED) 2>/dev/null; then \
	  echo "Python 3.11, 3.12, 3.13 or 3.14 is missing: install one, or set PYTHON=/path/to/python3"; exit 1; \
	elif $(PYTHON) -c 'import venv, ensurepip' 2>/dev/null; then $(PYTHON) -m venv $(VENV); \
	elif command -v uv >/dev/null; then uv venv --quiet --python "$$(command -v $(PYTHON))" $(VENV); \
	else echo "Python's venv module is missing: on Debian and Ubuntu, apt install python3-venv"; exit 1; fi
	@$(BIN)/python -c 'import pip' 2>/dev/null || command -v uv >/dev/null || \
	  { echo "$(VENV) has no pip, and uv is missing: remove $(VENV), or install uv"; exit 1; }
	@touch $@

# test holds runtime and deploy, check holds test; all agree on every version.
$(VENV)/.runtime: $(VENV)/.python requirements.txt $(if $(LATEST),always)
	@echo "installing the runtime into $(VENV)"
	@$(call INSTALL,requirements.txt,local)
	@touch $@

$(VENV)/.deploy: $(VENV)/.python requirements-deploy.txt $(if $(LATEST),always)
	@echo "installing Pulumi's packages into $(VENV)"
	@$(call INSTALL,requirements-deploy.txt,pulumi)
	@touch $@

$(VENV)/.test: $(VENV)/.python requirements-test.txt $(if $(LATEST),always)
	@echo "installing what the tests need into $(VENV)"
	@$(call INSTALL,requirements-test.txt,test)
	@touch $@ $(VENV)/.runtime $(VENV)/.deploy

$(VENV)/.check: $(VENV)/.python requirements-check.txt $(if $(LATEST),always)
	@echo "installing the development tools into $(VENV)"
	@$(call INSTALL,requirements-check.txt,check)
	@touch $@ $(VENV)/.test $(VENV)/.runtime $(VENV)/.deploy

always:

demo: $(VENV)/.runtime ## Run a sample (or INPUT=file MODEL=name GEMINI=live STACK=emulators PROVIDER=vertex) end to end
	@$(BIN)/python -m batchdrop.cli.main demo --stack $(STACK) --data $(DATA)/demo $(if $(INPUT),--input "$(INPUT)") \
	  $(if $(MODEL),--model $(MODEL)) $(if $(GEMINI),--gemini "$(GEMINI)") $(if $(PROVIDER),--provider "$(PROVIDER)") $(if $(MOVED),--moved)

up: $(VENV)/.runtime ## Keep a stack running: STACK=embedded (default) or STACK=emulators; MOVED=1 once after its folder was moved
	@exec $(BIN)/python -m batchdrop.cli.main up --stack $(STACK) --data $(DATA)/$(STACK) $(if $(GEMINI),--gemini "$(GEMINI)") \
	  $(if $(QUIET),--quiet-seconds $(QUIET)) $(if $(MOVED),--moved)

gemini-emulator: $(VENV)/.runtime ## Run the Gemini emulator alone: PORT=8085
	@exec $(BIN)/python -m batchdrop.cli.main emulator gemini --port $(or $(PORT),8085) --data $(DATA)/gemini

test: $(VENV)/.test ## All tests that need no account, with Google's emulators where they are; LATEST=1: with the newest dependencies
	@$(BIN)/python -m pytest tests $(PARALLEL) -rs

test-fast: $(VENV)/.test ## Unit and property tests only
	@$(BIN)/python -m pytest tests/unit tests/property

fault: $(VENV)/.test ## Crashes at every point, SEEDS=2000 simulated runs, killed processes, guards switched off; or one SEED=7
	@FAULT=full SEEDS=$(or $(SEEDS),$(if $(SEED),1,2000)) $(if $(SEED),SEED=$(SEED)) $(BIN)/python -m pytest \
	  $(if $(SEED),tests/fault/test_simulation.py -k seed_breaks,tests/fault) $(PARALLEL) -rP

check: lint types imports installs ## What CI runs: lint, types, imports, installs, all tests with Google's emulators required, 2,000 seeds
	@BATCHDROP_REQUIRE_EMULATORS=1 $(BIN)/python -m pytest tests --ignore tests/fault $(PARALLEL) --cov
	@BATCHDROP_REQUIRE_EMULATORS=1 SEEDS=$(or $(SEEDS),2000) $(BIN)/python -m pytest tests/fault $(PARALLEL)

lint: $(VENV)/.check ## Style and formatting
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(VENV)/.check ## Types, strictly
	@$(BIN)/pyright

imports: $(VENV)/.check ## The direction of dependencies
	@$(BIN)/lint-imports --no-cache

bench: $(VENV)/.test ## Ratios against a script, curl and floors of the same run; SIZE=small takes minutes, ONLY=rivals,many less
	@$(BIN)/python -m tests.bench --size $(or $(SIZE),full) --only "$(ONLY)"

installs: $(VENV)/.check ## Install and run the demo in empty environments: each Python there is, with its oldest and the newest pip, and uv
	@UV=$(BIN)/uv sh .ci/installs

# A function's build resolves its lock again. Old pips then need what is asked for with extras pinned in that form too.
COMPILE = $(BIN)/uv pip compile --quiet pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header \
  --no-annotate --no-emit-index-url --no-emit-find-links $(if $(UPGRADE),--upgrade)
WITH_EXTRAS := awk '/^[a-z0-9.-]+\[/ {on = 1} on {print} !/\\$$/ {on = 0}'

requirements: $(VENV)/.check ## Pin all dependencies again; UPGRADE=1 takes the newest releases
	@$(COMPILE) --extra check -o requirements-check.txt
	@set -e; for set in "requirements.txt local" "requirements-test.txt test" "requirements-deploy.txt pulumi" \
	  "functions/submit/requirements.txt submit" "functions/poll/requirements.txt poll" \
	  "functions/write/requirements.txt write"; do set -- $$set; \
	  $(COMPILE) -c requirements-check.txt --extra $$2 -o $$1; done
	@set -e; for name in submit poll write; do $(COMPILE) -c requirements-check.txt --extra $$name --no-strip-extras | \
	  $(WITH_EXTRAS) >> functions/$$name/requirements.txt; done

pulumi-cli:
	@command -v pulumi >/dev/null || { echo "the Pulumi CLI is missing: see pulumi.com/docs/install"; exit 1; }

preview deploy: pulumi-cli $(VENV)/.deploy ## Show or make the cloud stack with Pulumi (preview, deploy)
	@cd infra && pulumi $(if $(filter deploy,$@),up,$@)

destroy: pulumi-cli $(VENV)/.runtime $(VENV)/.deploy ## Cancel what runs, then remove the cloud stack but not its data; DRAIN=no cancels nothing
	@$(BIN)/python -m infra.destroy $(if $(filter no,$(DRAIN)),--no-drain)

smoke: pulumi-cli $(VENV)/.runtime $(VENV)/.deploy ## In a real PROJECT= with a real GEMINI_API_KEY: deploy, run ten lines, replay, say what it cost, destroy
	@$(BIN)/python -m tests.e2e.smoke --project $(or $(PROJECT),$(error say which project: make smoke PROJECT=my-project))

clean: ## Remove the environments, and the local data that we made (never another folder)
	@test ! -d "$(DATA)" || "$(PYTHON)" -m batchdrop_local.cleaning "$(DATA)"
	@rm -rf .venv .venv-latest .pytest_cache .ruff_cache .coverage
