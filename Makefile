# `make demo` and `make test` need only Python 3.10 to 3.12.
PYTHON ?= python3
# Two workers: the suite mostly waits for imports and small convolutions.
PYTEST_ARGS ?= -n 2

VENV := .venv
VERSIONS := 3.10 3.11 3.12
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp

# More threads than cores make small models many times slower.
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help venv test test-slow test-all lint format docs demo clean distclean

help:
	@echo 'make demo       train, test and draw on glyphs, in under five minutes'
	@echo 'make test       the test suite (PYTEST_ARGS="-k glyph" for a part)'
	@echo 'make test-slow  the slow tests: real model sizes'
	@echo 'make test-all   the test suite on each of $(VERSIONS)'
	@echo 'make lint       style, format, types, docstrings, code for Python 3.10'
	@echo 'make format     format the code'
	@echo 'make docs       the documentation in site/index.html'
	@echo 'make venv       set up $(VENV) (PYTHON=python3.11 chooses a version)'
	@echo 'make clean      remove caches and build outputs'
	@echo 'make distclean  remove $(VENV) too'

venv: $(STAMP)

$(STAMP): requirements/tested.txt setup.py requirements/make_venv.sh
	@sh requirements/make_venv.sh '$(PYTHON)' '$(VENV)'
	@touch $@

test: $(STAMP)
	$(BIN)/python -m pytest $(PYTEST_ARGS)

test-slow: $(STAMP)
	$(BIN)/python -m pytest -m slow -s

# Each version has an environment of its own, .venv-VERSION.
test-all:
	for version in $(VERSIONS); do \
		$(MAKE) test VENV=.venv-$$version PYTHON=python$$version || exit 1; \
	done

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet . || \
		{ echo 'run `make format`'; exit 1; }
	$(BIN)/mypy --no-error-summary
	$(BIN)/vermin --quiet --violations --eval-annotations --no-tips --target=3.10- \
		mmdavpt tools benchmarks tests configs *.py
	$(BIN)/interrogate --quiet mmdavpt tools benchmarks || $(BIN)/interrogate -v mmdavpt tools benchmarks

format: $(STAMP)
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format --quiet .

# mkdocs needs neither torch nor this package. --quiet would hide broken links
# from --strict.
docs: .venv-docs/.stamp
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict
	@echo 'Open site/index.html.'

.venv-docs/.stamp: requirements/docs.txt
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@

# Waiting threads sleep: spinning ones halve the speed of a busy machine.
demo: $(STAMP)
	OMP_NUM_THREADS=2 OMP_WAIT_POLICY=PASSIVE $(BIN)/python tools/demo.py

clean:
	rm -rf build dist site *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune \
		-exec rm -rf {} +

distclean: clean
	rm -rf $(VENV) .venv-docs $(VERSIONS:%=.venv-%)
