# What a person does with a clone of this project. `make` alone prints the list.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
CODE   := $(wildcard fanout tests examples bench tools) deploy/grafana/dashboard.py
PEERS  := .venv-peers
PEERS_STAMP := $(PEERS)/.installed
DEPLOY := .venv-deploy
DEPLOY_STAMP := $(DEPLOY)/.installed
TOXIPROXY := $(BIN)/toxiproxy-server
SEED   ?= 1

# Where it is set, as in many images, each of the processes that tests start compiles all modules anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test coverage runbooks deploy faults production temporal-server check lint types docs format bench bench-full peers screenshots chromium clean

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Create .venv with all that development needs

$(STAMP): pyproject.toml constraints.txt tools/setup.sh tools/debian.sh
	@PYTHON="$(PYTHON)" sh tools/setup.sh $(VENV)
	@touch $@

demo: $(STAMP) ## Fan out over the 336,776 flights of 2013, on a dev server of its own
	$(BIN)/python -m examples.flights.demo

test: $(STAMP) $(TOXIPROXY) chromium ## Run all tests on a real Temporal server
	@sh tools/test.sh $(BIN)/python $(ARGS)

# Apart: to count lines takes as long again as the tests themselves.
coverage: $(STAMP) chromium ## See which lines the tests reach, without the fault scenarios
	rm -f .coverage .coverage.*
	$(BIN)/python -m pytest -m "not faults and not alone and not runbooks and not production" --numprocesses 2 --dist loadfile --cov --cov-report=term $(ARGS)

runbooks: $(STAMP) chromium ## Walk through docs/runbooks: commands and Temporal Web, with runs of those very faults
	$(BIN)/python -m pytest -m runbooks --numprocesses 2 $(ARGS)

deploy: $(STAMP) $(DEPLOY_STAMP) ## Check what is in deploy/ with Helm, promtool, hadolint, Compose and a real worker
	$(BIN)/python -m pytest tests/deploy --numprocesses 2 --dist loadfile $(ARGS)

$(DEPLOY_STAMP): constraints-deploy.txt tools/deploy.sh tools/debian.sh | $(STAMP)
	@PYTHON="$(PYTHON)" sh tools/deploy.sh $(DEPLOY)
	@touch $@

faults: $(STAMP) $(TOXIPROXY) ## Disturb long runs on purpose: `make faults SEED=7 ARGS="-k server"`
	FANOUT_FAULTS=long FANOUT_FAULTS_SEED=$(SEED) $(BIN)/python -m pytest tests/faults $(ARGS)

production: $(STAMP) temporal-server ## Run runs on a production Temporal server, whose processes die, and over several hosts
	$(BIN)/python -m pytest -m production tests/production $(ARGS)

# Looked at each time: it needs PostgreSQL as well, which is the system's.
temporal-server:
	@PYTHON="$(BIN)/python" sh tools/production.sh $(BIN)

$(TOXIPROXY): tools/toxiproxy.sh tools/go.sh | $(STAMP)
	@PYTHON="$(BIN)/python" sh tools/toxiproxy.sh $@

# Looked for each time: it is the system's, not ours.
chromium:
	@sh tools/chromium.sh

screenshots: $(STAMP) chromium ## Take the documentation's pictures of Temporal Web anew
	$(BIN)/python -m tools.screenshots

check: lint types docs ## Lint, formatting, strict types, documentation

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy $(CODE)

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

format: $(STAMP) ## Format the code and repair what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Only where they are measured. Without them the others are still measured: then the table says that they are missing.
WITH_PEERS = $(if $(findstring --only,$(ARGS)),$(findstring peers,$(ARGS))$(findstring production,$(ARGS)),peers)
WITH_SERVER = $(findstring production,$(ARGS))

bench: $(STAMP) ## Measure speed and memory, and print the tables
	$(if $(WITH_PEERS),-@$(MAKE) --no-print-directory peers)
	$(if $(WITH_SERVER),@$(MAKE) --no-print-directory temporal-server)
	$(BIN)/python -m bench $(ARGS)

bench-full: $(STAMP) ## The same with more rounds and items
	$(if $(WITH_PEERS),-@$(MAKE) --no-print-directory peers)
	$(if $(WITH_SERVER),@$(MAKE) --no-print-directory temporal-server)
	$(BIN)/python -m bench --scale full $(ARGS)

peers: $(PEERS_STAMP) ## Create .venv-peers with what `make bench` compares fanout with

$(PEERS_STAMP): constraints-peers.txt tools/peers.sh tools/debian.sh | $(STAMP)
	@PYTHON="$(PYTHON)" sh tools/peers.sh $(PEERS)
	@touch $@

clean: ## Remove what was built, measured and cached (the environment and .fanout stay)
	rm -rf build dist site htmlcov coverage.xml .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find fanout tests examples bench tools -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
