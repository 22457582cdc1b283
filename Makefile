# `make demo` and `make test` set up .venv on first use; they need Python 3.11 or newer, its venv module and make.
# The demo needs friedel alone; the tests need what develops it too, torch among it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
USABLE := $(VENV)/.usable
STAMP := $(VENV)/.installed
DOCS_STAMP := $(VENV)/.docs
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable

.DEFAULT_GOAL := help
.PHONY: help demo test test-all lint types layers unit docs package frontend frontend-check clean

help:
	@echo "make demo   map a simulated NMC811 scan and an SEI micrograph; the reports go to demo/"
	@echo "make test   lint, types, layers and tests"
	@echo "make test-all   also the tests that take minutes: damaged files, killed runs, full disks, cut networks"
	@echo "make docs   build the documentation into build/docs; warnings are errors"
	@echo "make package   build wheel and sdist into build/dist, and map with the wheel in an empty environment"
	@echo "make frontend   rebuild the web page (needs Node 20.19 or newer); commit what changes in src/friedel/web/static"
	@echo "make clean  remove .venv and the demo's output"

$(USABLE): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "friedel needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null \
	  || { echo "Python's venv module is missing; on Debian: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) .
	@touch $@

$(STAMP): $(USABLE)
	$(PIP_INSTALL) '.[dev]'
	@touch $@

demo: $(USABLE)
	$(BIN)/friedel demo --out demo

test: lint types layers unit

lint: $(STAMP)
	$(BIN)/ruff check src tests docs bench studies
	$(BIN)/ruff format --check src tests docs bench studies

types: $(STAMP)
	$(BIN)/mypy

layers: $(STAMP)
	$(BIN)/lint-imports

unit: $(STAMP)
	$(BIN)/python -m pytest -n auto

test-all: test
	$(BIN)/python -m pytest -n auto -m slow

$(DOCS_STAMP): $(STAMP)
	$(PIP_INSTALL) '.[docs]'
	@touch $@

docs: $(DOCS_STAMP)
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --builder html docs build/docs
	@echo "build/docs/index.html"

# The wheel is built from the sdist, so that the sdist is known to be complete.
package: $(STAMP)
	rm -rf build/dist build/package
	$(BIN)/hatchling build --target sdist --directory build/dist
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir build/dist build/dist/friedel-*.tar.gz
	$(PYTHON) -m venv build/package
	build/package/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt build/dist/friedel-*.whl
	cd build/package && sh ../../.ci/try-package
	@ls -l build/dist | awk 'NR > 1 {printf "%.1f MB  %s\n", $$5 / 1e6, $$9}'

frontend:
	cd frontend && npm ci --no-audit --no-fund && npm run build

# Fails if the page in the package is not what its sources give; without Node it says so and checks nothing.
frontend-check:
	@if node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' 2>/dev/null \
	  && command -v npm >/dev/null; then \
	  rm -rf build/committed-page && mkdir -p build && cp -r src/friedel/web/static build/committed-page && $(MAKE) frontend \
	  && { diff -rq build/committed-page src/friedel/web/static \
	    || { echo "the page in src/friedel/web/static is not what frontend/ gives: run make frontend and commit it"; exit 1; }; }; \
	else echo "no Node 20.19 or newer with npm: the page is not rebuilt, so that its files are not checked"; fi

clean:
	rm -rf $(VENV) demo
