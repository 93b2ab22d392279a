# Plumm: `make run` serves, `make test` tests; both set up whatever they need first.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# The warnings are setuptools' own, about extension modules being new in pyproject.toml.
PIP    := PYTHONWARNINGS=ignore $(BIN)/python -m pip --quiet --disable-pip-version-check

# What each step depends on: nothing is done again that did not change.
NATIVE := $(shell find media scripts -name '*.pyx' -o -name '*.pxd')
PAGES  := $(shell find static -type f -not -path '*/node_modules/*' -not -path '*/dist/*' -not -path '*/test/*')

.DELETE_ON_ERROR:
.PHONY: run test test-asan fuzz check fmt build bench soak networks kills nightly clean help

run: build ## Set up what is missing, then serve on http://127.0.0.1:8080
	@exec $(BIN)/plumm serve

test: build $(VENV)/.dev static/node_modules/.ready ## Install what tests need, then run all tests
	@scripts/test_tools.sh
	@cd static && npm run --silent test
	@$(BIN)/python -m pytest
	@$(BIN)/python -m scripts.fuzz --seconds 20

test-asan: build $(VENV)/.dev ## The relay's tests under ASAN and UBSAN
	@$(BIN)/python -m scripts.sanitize

fuzz: build $(VENV)/.dev ## Fuzz every parser for SECONDS=600 each (KEEP=1 adds to the corpus)
	@scripts/test_tools.sh
	@$(BIN)/python -m scripts.fuzz --seconds $(or $(SECONDS),600) $(if $(KEEP),--keep)

check: build $(VENV)/.dev static/node_modules/.ready ## Lint and type-check everything
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@cd static && npm run --silent check

fmt: $(VENV)/.dev static/node_modules/.ready ## Format everything
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .
	@cd static && npm run --silent format

build: $(VENV)/.native static/dist/.built ## The relay and the browser code

bench: build $(VENV)/.dev ## Measure, as ratios to yardsticks in the same run
	@scripts/test_tools.sh
	@$(BIN)/python -m scripts.bench

soak: build $(VENV)/.dev ## Let rooms come and go for MINUTES=5: nothing may be left behind
	@$(BIN)/python -m scripts.soak --minutes $(or $(MINUTES),5)

networks: build $(VENV)/.dev ## Measure calls over bad links, a minute each, and .bench/networks.json
	@scripts/test_tools.sh
	@$(BIN)/python -m tests.networks

kills: build $(VENV)/.dev ## Kill what ends sessions COUNT=1000 times (DATABASE=sqlite or postgresql, PROCESS=service or server)
	@scripts/test_tools.sh
	@$(BIN)/python -m tests.kills $(or $(COUNT),1000) $(or $(DATABASE),sqlite) $(or $(PROCESS),service)

nightly: build $(VENV)/.dev ## What takes an hour: 10,000 orders of events, and kills on both databases
	@scripts/test_tools.sh
	@$(BIN)/python -m pytest tests/unit/rooms/test_any_order.py --hypothesis-profile=nightly --timeout 7200
	@$(MAKE) --no-print-directory kills DATABASE=sqlite
	@$(MAKE) --no-print-directory kills DATABASE=postgresql
	@$(MAKE) --no-print-directory kills DATABASE=postgresql PROCESS=server COUNT=100

clean: ## Remove everything that was built or installed here (not .plumm, the data)
	@rm -rf $(VENV) build static/dist static/node_modules *.egg-info
	@find media scripts \( -name '*.so' -o -name '*.c' \) -delete

help: ## This list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/.runtime: pyproject.toml constraints.txt
	@scripts/requirements.sh $(PYTHON)
	@test -x $(BIN)/python || { echo "· Making the virtual environment"; $(PYTHON) -m venv $(VENV); }
	@echo "· Installing Python packages and compiling the relay (about a minute, once)"
	@$(PIP) install -c constraints.txt setuptools Cython
	@$(PIP) install -c constraints.txt --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime
	@echo "· Installing the packages that tests and checks need"
	@$(PIP) install -c constraints.txt --no-build-isolation -e '.[dev]'
	@touch $@

$(VENV)/.native: $(VENV)/.runtime $(NATIVE)
	@echo "· Compiling what changed in the relay"
	@$(BIN)/python -W ignore -c "from setuptools import setup; setup()" -q build_ext --inplace
	@touch $@

static/node_modules/.ready: static/package.json static/package-lock.json
	@scripts/requirements.sh $(PYTHON)
	@echo "· Installing browser packages"
	@cd static && npm ci --silent --no-audit --no-fund
	@touch $@

static/dist/.built: static/node_modules/.ready $(PAGES)
	@echo "· Building the pages"
	@cd static && npm run --silent build
	@touch $@
