# make demo   segment a real T1 scan with a text; prints where the results are
# make test   run the whole test suite
# make lint   style, types, import directions, spelling, command reference
# Needs python3.11 or later with pip, and make. Everything is put into .venv.

PYTHON ?= python3
VENV ?= .venv
TORCH ?= torch==2.13.0
PIP_FLAGS ?= --quiet --disable-pip-version-check
DEMO_OUT ?= demo_out

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install $(PIP_FLAGS)
STAMPS := $(VENV)/.stamps

.PHONY: demo test lint docs clean
.DEFAULT_GOAL := demo

$(STAMPS)/base: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "python 3.11 or later is needed: make PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) "$(TORCH)"
	$(PIP) -e .
	mkdir -p $(STAMPS) && touch $@

$(STAMPS)/demo: $(STAMPS)/base
	$(PIP) "nilearn>=0.12"
	touch $@

$(STAMPS)/test: $(STAMPS)/base
	$(PIP) -e ".[test]"
	touch $@

$(STAMPS)/lint: $(STAMPS)/test
	$(PIP) -e ".[lint]"
	touch $@

demo: $(STAMPS)/demo
	PATH="$(abspath $(BIN)):$$PATH" examples/segment/demo.sh "$(DEMO_OUT)"

# One process a core, each with one thread: the tests share no files.
test: export OMP_NUM_THREADS ?= 1
test: $(STAMPS)/test
	$(BIN)/python -m pytest -n auto

# mypy runs from tests/: at the root the folder io/ would hide the standard library's io.
lint: $(STAMPS)/lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	cd tests && "$(abspath $(BIN))/mypy" --config-file ../pyproject.toml -p mmtool
	$(BIN)/lint-imports
	$(BIN)/codespell README.md CHANGELOG.md Makefile cli pipelines io models src tests docs examples benchmarks --skip '*.safetensors,*.json' -L ot,modle,mater,infarction,infarctions,blosum,cna,seh,caf,ane,ine
	$(BIN)/python docs/generate_cli.py --check

docs: $(STAMPS)/base
	$(BIN)/python docs/generate_cli.py

clean:
	rm -rf $(VENV) $(DEMO_OUT)
