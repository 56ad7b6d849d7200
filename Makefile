# Everything runs in a virtual environment of its own; `make` alone lists the commands.
#   VENV         where the environment lies          (default .venv)
#   PYTHON       which Python makes it, 3.11 or later (default: the first one found)
#   CONSTRAINTS  the exact versions to install       (default constraints.txt)
#   PEERS        where `make peers` installs          (default .venv-peers)
#   PYTEST_ARGS  more arguments for pytest           (e.g. PYTEST_ARGS="-k queue")
#   SPHINX_ARGS  more arguments for sphinx           (e.g. SPHINX_ARGS="-D plot_gallery=0": tutorials do not run)

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:

VENV ?= .venv
CONSTRAINTS ?= constraints.txt
PEERS ?= .venv-peers
PYTEST_ARGS ?=
SPHINX_ARGS ?=

BIN := $(VENV)/bin
SAY := echo "==>"
QUIET := --disable-pip-version-check --quiet --quiet
PIP := $(BIN)/python -m pip $(QUIET)
CANDIDATES := $(PYTHON) python3.11 python3.12 python3.13 python3.14 python3 python
SUITABLE := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
TESTED_VERSIONS := pyproject.toml $(CONSTRAINTS)

READY := $(patsubst %,$(PEERS)/%/.ready,nest brian torch jaxsnn)

# Where `make peers` has put them, unless the caller has them elsewhere.
export EVENTSIM_NEST_PYTHON ?= $(patsubst %.ready,%bin/python,$(wildcard $(abspath $(PEERS)/nest/.ready)))
export EVENTSIM_BRIAN_PYTHON ?= $(patsubst %.ready,%bin/python,$(wildcard $(abspath $(PEERS)/brian/.ready)))
export EVENTSIM_TORCH_PYTHON ?= $(patsubst %.ready,%bin/python,$(wildcard $(abspath $(PEERS)/torch/.ready)))
export EVENTSIM_JAXSNN_PYTHON ?= $(patsubst %.ready,%bin/python,$(wildcard $(abspath $(PEERS)/jaxsnn/.ready)))

# Of the scenarios, encodings, simulated noise and training on a device alone have compiled code.
OF_COMPILED_CODE := tests/eventsim tests/gradients tests/helpers $(wildcard tests/test_*.py) \
	tests/scenarios/datasets/test_encoding.py tests/scenarios/coherence \
	tests/scenarios/networks/test_cuda_learner.py

.PHONY: help run test lint unit bounds coverage extras bench docs links peers lock dist tagged clean

help:  ## list the commands
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 18

run: $(VENV)/.for-scenarios  ## learn the Yin-Yang task, default size (under three minutes)
	@$(SAY) "eventsim run yin_yang"
	@$(BIN)/eventsim run yin_yang

test: lint unit bounds coverage  ## run every check: lint, types, imports, tests, bounds, coverage
	@$(SAY) "all checks passed"

lint: $(VENV)/.for-dev  ## check style, types and the direction of imports
	@$(SAY) "ruff: style"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(SAY) "mypy: types"
	@$(BIN)/mypy
	@$(SAY) "import-linter: scenarios -> gradients -> eventsim"
	@$(BIN)/lint-imports --no-logo

unit: $(VENV)/.for-dev  ## run all tests and doctests, compiled
	@$(SAY) "pytest, compiled (the first run compiles: a few minutes)"
	@$(BIN)/python -m pytest --cov --cov-report= --cov-fail-under=0 $(PYTEST_ARGS)

bounds: $(VENV)/.for-dev  ## run, with every index checked, the quick tests that plain Python leaves out
	@$(SAY) "pytest, compiled with bounds checks (tests marked jit, but not slow)"
	@NUMBA_BOUNDSCHECK=1 NUMBA_OPT=1 HYPOTHESIS_PROFILE=coverage $(BIN)/python -m pytest \
		-m "jit and not (slow or cuda or gpu or peers)" $(OF_COMPILED_CODE) $(PYTEST_ARGS)

coverage: $(VENV)/.for-dev  ## run the quick tests of what is compiled as plain Python; show coverage, that of `make unit` included
	@$(SAY) "pytest, not compiled, with coverage (tests marked slow or jit are left out)"
	@NUMBA_DISABLE_JIT=1 HYPOTHESIS_PROFILE=coverage $(BIN)/python -m pytest \
		-m "not (slow or jit or gpu or peers)" --cov --cov-append --cov-report=term \
		$(OF_COMPILED_CODE) $(PYTEST_ARGS)

extras:  ## install each extra alone, at the lowest versions, and run the tests of what it opens
	@.ci/extras

bench: $(VENV)/.for-dev  ## run the benchmarks (peers that are not installed are skipped)
	@for script in $$(grep -l '^if __name__' benchmarks/*.py); do \
		$(SAY) "$$script"; $(BIN)/python "$$script"; \
	done

docs: $(VENV)/.for-docs  ## build the documentation, in docs/_build/html; a warning is an error
	@$(SAY) "sphinx (it runs the tutorials: a minute or two, more if they have to be compiled)"
	@$(BIN)/python -m sphinx -q -b html -W --keep-going $(SPHINX_ARGS) docs docs/_build/html
	@$(SAY) "docs/_build/html/index.html"

links: $(VENV)/.for-docs  ## look whether the links of the documentation to other sites still lead somewhere
	@$(SAY) "sphinx: links to other sites"
	@$(BIN)/python -m sphinx -q -b linkcheck -D plot_gallery=0 $(SPHINX_ARGS) docs docs/_build/links

peers: $(READY)  ## install the simulators that tests and benchmarks compare with

lock: pyproject.toml  ## renew constraints.txt with the newest versions that pyproject.toml allows
	@$(MAKE) --no-print-directory VENV=.venv-lock CONSTRAINTS=/dev/null .venv-lock/.for-dev .venv-lock/.for-docs
	@{ sed -n '/^#/p' constraints.txt; \
	   .venv-lock/bin/python -m pip freeze --exclude-editable; } > constraints.new
	@mv constraints.new constraints.txt
	@rm -rf .venv-lock
	@$(SAY) "constraints.txt is new: run make test before you commit it"

dist:  ## build what is released, in dist/, and try it in an empty environment
	@rm -rf dist .venv-dist
	@$(MAKE) --no-print-directory .venv-dist/tools/.created .venv-dist/bare/.created
	@$(SAY) "building the source archive, and the wheel from it"
	@.venv-dist/tools/bin/python -m pip $(QUIET) install build twine
	@.venv-dist/tools/bin/python -m build
	@.venv-dist/tools/bin/twine check --strict dist/*
	@$(SAY) "the wheel alone: the command, and the lines of README.md, in an empty folder"
	@.venv-dist/bare/bin/python -m pip $(QUIET) install dist/*.whl
	@unset PYTHONPATH; cd .venv-dist; bare/bin/eventsim info; \
		sed -n '/^```python$$/,/^```$$/{/^```/!p;}' $(CURDIR)/README.md | bare/bin/python -
	@rm -rf .venv-dist
	@$(SAY) "$$(echo dist/*)"

tagged:  ## stop unless TAG is the version of the package: make tagged TAG=v0.1.0
	@version="v$$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)"; \
	if [ "$(TAG)" != "$$version" ]; then echo "TAG is '$(TAG)', the package is $$version" >&2; exit 1; fi

clean:  ## remove the environment, caches and build products
	rm -rf $(VENV) .venv-lock .venv-dist $(PEERS) .numba_cache .hypothesis .mypy_cache .ruff_cache .pytest_cache \
		.import_linter_cache .coverage htmlcov build dist docs/_build docs/gallery docs/reference/generated
	find eventsim gradients scenarios tests benchmarks -name __pycache__ -prune -exec rm -rf {} +

%/.created:
	@python=""; \
	for candidate in $(CANDIDATES); do \
		if "$$candidate" -c '$(SUITABLE)' > /dev/null 2>&1; then python="$$candidate"; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
		echo "No Python 3.11 or later with the modules venv and ensurepip was found." >&2; \
		echo "Install one (on Debian: python3 and python3-venv), or say make PYTHON=/path/to/it." >&2; \
		exit 1; \
	fi; \
	$(SAY) "making the virtual environment $* with $$("$$python" --version)"; \
	"$$python" -m venv --clear "$*"
	@touch $@

$(VENV)/.for-scenarios $(VENV)/.for-dev $(VENV)/.for-docs: $(VENV)/.for-%: $(VENV)/.created $(TESTED_VERSIONS)
	@$(SAY) "installing eventsim-snn[$*] in $(VENV) (a minute or two, the first time)"
	@$(PIP) install --constraint $(CONSTRAINTS) hatchling editables
	@$(PIP) install --constraint $(CONSTRAINTS) --no-build-isolation --editable '.[$*]'
	@touch $@

# The peers need versions that the project does not, so each has an environment of its own.
$(PEERS)/nest/.ready: PEER := nest-simulator==3.10.0 numpy==2.4.6
$(PEERS)/brian/.ready: PEER := brian2==2.9.0 cython==3.3.1 numpy==1.26.4 'setuptools<81'
$(PEERS)/torch/.ready: PEER := torch==2.13.0 snntorch==1.0.0 nir==1.0.8 nirtorch==2.6 h5py==3.16.0 numpy==2.4.6
$(PEERS)/jaxsnn/.ready: PEER := jaxsnn==0.3.0 jax==0.10.2 optax==0.2.8 numpy==2.4.6
# Norse asks for torchvision, which it does not need for neurons.
$(PEERS)/torch/.ready: BARE := norse==1.1.0
PEER_PIP = $*/bin/python -m pip $(QUIET)
$(READY): %/.ready: %/.created Makefile
	@$(SAY) "installing $(PEER) $(BARE) in $*"
	@$(PEER_PIP) install $(PEER)
	@$(if $(BARE),$(PEER_PIP) install --no-deps $(BARE))
	@touch $@
