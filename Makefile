# Steward: `make run` serves it, `make test` proves it. Everything is set up on the way.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
RUN_STAMP := $(VENV)/.run-installed
DEV_STAMP := $(VENV)/.dev-installed
PORT ?= 8000

.PHONY: help run test test-slow test-services lint format demo bench lock schema clean

help: ## What can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: $(RUN_STAMP) ## Serve Steward on 127.0.0.1:$(PORT) with embedded defaults
	@exec $(BIN)/python manage.py up --port $(PORT)

test: $(DEV_STAMP) ## The default suite, on SQLite
	$(BIN)/pytest -q -n 2 -m "not slow and not browser"

test-services: $(DEV_STAMP) ## The same suite on PostgreSQL, Redis and RabbitMQ of this host
	DATABASE_URL=$${TEST_DATABASE_URL:-postgres://postgres@127.0.0.1:5432/postgres} \
	REDIS_URL=$${TEST_REDIS_URL:-redis://127.0.0.1:6379/9} \
	$(BIN)/pytest -q -n 2 -m "not slow and not browser"

test-slow: $(DEV_STAMP) ## Real peers, real browsers, processes that are killed
	$(BIN)/pytest -q -m "slow or browser"

lint: $(DEV_STAMP) ## Style, types, import directions, migrations, templates
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/djlint --lint --quiet templates

format: $(DEV_STAMP) ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

demo: $(RUN_STAMP) ## Walk the main job in the terminal against a server of its own
	@$(BIN)/python manage.py demo

bench: $(DEV_STAMP) ## Figures of this machine
	$(BIN)/python -m bench

schema: $(RUN_STAMP) ## Write the OpenAPI schema to docs/openapi.yaml
	$(BIN)/python manage.py spectacular --file docs/openapi.yaml

lock: $(DEV_STAMP) ## Compile requirements*.in into hashed locks
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate requirements.in -o requirements.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate -c requirements.txt requirements-dev.in -o requirements-dev.txt

clean: ## Remove the environment (data in var/ stays)
	rm -rf $(VENV)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Steward needs Python 3.11 or newer; set PYTHON=."; exit 1; }
	@echo "Making the environment…"
	@$(PYTHON) -m venv $(VENV)

# uv installs in seconds; where it cannot be had or cannot reach its registry, pip does the same in a minute.
$(BIN)/uv: | $(BIN)/python
	@$(BIN)/python -m pip install -q --disable-pip-version-check uv || true

$(RUN_STAMP): requirements.txt | $(BIN)/python $(BIN)/uv
	@echo "Installing what Steward needs…"
	@$(BIN)/uv pip install -q --python $(BIN)/python --require-hashes -r requirements.txt 2>$(VENV)/uv.log \
	|| $(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.txt \
	|| { cat $(VENV)/uv.log; exit 1; }
	@touch $@

$(DEV_STAMP): requirements-dev.txt $(RUN_STAMP)
	@echo "Installing what the tests need…"
	@$(BIN)/uv pip install -q --python $(BIN)/python --require-hashes -r requirements-dev.txt 2>$(VENV)/uv.log \
	|| $(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.txt \
	|| { cat $(VENV)/uv.log; exit 1; }
	@touch $@
