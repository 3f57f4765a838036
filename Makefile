# Every command of the project; `make` alone lists them.
# One virtual environment serves them all: it is made, and remade after a change of the metadata or of a C file, on its own.

PYTHON ?= python3
VENV   ?= .venv
PY     := $(VENV)/bin/python
EXTRA  ?= dev
SHELL  := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# Warnings of the compiler are errors here, and only here: a user's newer compiler may know more of them.
export LOWTIDE_DEV := 1

C_SOURCES := $(wildcard csrc/*/*.c csrc/*/*.h)
C_TESTS   := $(patsubst tests/c/%.c,%,$(wildcard tests/c/test_*.c))
C_THREADS := test_lock test_snapshot
BASE      := $(wildcard csrc/base/*.c)
C_FLAGS   := -std=c11 -g -Wall -Wextra -Werror -Icsrc -pthread
# The thread sanitizer of older compilers does not start where the kernel spreads addresses widely.
FIXED_ADDRESSES = $(shell setarch -R true 2>/dev/null && echo setarch -R)
SANITIZE  := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

##@ Every day
.PHONY: help
help: ## list the commands
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: test
test: $(VENV)/ready ## run the fast suite (about 5 minutes)
	$(PY) -m pytest -q -n 2 --dist loadgroup -m "not slow and not browser and not kernel" $(ARGS)

.PHONY: check
check: $(VENV)/ready ## check format, lint, types and contracts
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(PY) -m pytest -q tests/contracts

.PHONY: fmt
fmt: $(VENV)/ready ## format, and mend what the linter can mend
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

.PHONY: build
build: $(VENV)/ready ## compile the extension in place (seconds; every command does it when a C file changed)

##@ See it work
.PHONY: demo
demo: $(VENV)/ready ## profile a JSON web service under load; the result is in artifacts/demo
	$(PY) -m examples.demo demo

.PHONY: profile
profile: $(VENV)/ready ## capture the service's profiles, tables and pages into artifacts/
	$(PY) -m examples.demo profile

.PHONY: bench
bench: $(VENV)/ready ## measure every promise of benchmarks/budgets.toml, on 3.13 too where this machine has it
	@if run=$$(tools/find-python 3.13); then $$run $(MAKE) --no-print-directory VENV=.venv-3.13 EXTRA=test .venv-3.13/ready; fi
	$(PY) -m benchmarks $(ARGS)

.PHONY: pool-lab
pool-lab: $(VENV)/ready ## pool the demo service's hot path and measure the gain (10 minutes; ARGS=--quick: only the counts)
	PYTHONPATH=memory-and-gc/pool-the-hot-path $(PY) -m pool_lab $(ARGS)

.PHONY: gc-lab
gc-lab: $(VENV)/ready ## see what the collector does to services under each policy (40 minutes; ARGS=--quick, --check)
	PYTHONPATH=memory-and-gc/gc-forensics $(PY) -m gc_lab $(ARGS)

##@ Before a release
.PHONY: test-all
test-all: $(VENV)/ready test-c ## run everything: slow, browser and kernel tests, the C units
	$(PY) -m pytest -q -n 2 --dist loadgroup $(ARGS)

.PHONY: test-c
test-c: $(C_TESTS:%=build/c/%.plain) $(C_TESTS:%=build/c/%.sanitized) $(C_THREADS:%=build/c/%.threads) ## run the C units, plain and under sanitizers
	@for program in $^; do echo "$$program"; $(FIXED_ADDRESSES) ./$$program || exit 1; done
	@echo "$(words $^) passed, 0 failed"

.PHONY: test-pythons
test-pythons: ## run the fast suite on every other supported Python of this machine
	tools/test-pythons

.PHONY: dist
dist: $(VENV)/ready ## build the source distribution and the wheel into dist/
	$(PY) -m build -q

.PHONY: clean
clean: ## remove what was built, never a profile you took
	rm -rf build dist src/*.egg-info src/lowtide/*.so .pytest_cache .hypothesis .mypy_cache .ruff_cache
	rm -f .venv*/ready .venv*/built

# The environment in three steps, each remade only when what it depends on changed.
$(PY):
	@$(PYTHON) tools/preflight.py
	@$(PYTHON) -m venv $(VENV)

$(VENV)/built: $(PY) pyproject.toml setup.py src/lowtide.pth $(C_SOURCES)
	@echo "building lowtide into $(VENV)"
	@$(PY) -m pip install -q --no-deps -e . >$(VENV)/build.log 2>&1 \
	  || { grep -m 1 -o 'lowtide: .*' $(VENV)/build.log || cat $(VENV)/build.log; exit 1; } >&2
	@touch $@

$(VENV)/ready: $(VENV)/built
	@echo "installing what the $(EXTRA) commands need into $(VENV)"
	@$(PY) -m pip install -qq 'lowtide[$(EXTRA)]'
	@touch $@

build/c/%.plain: tests/c/%.c $(C_SOURCES) $(wildcard tests/c/*.h)
	@mkdir -p $(@D)
	@$(CC) $(C_FLAGS) -O2 -o $@ $< $(BASE) -lm

build/c/%.sanitized: tests/c/%.c $(C_SOURCES) $(wildcard tests/c/*.h)
	@mkdir -p $(@D)
	@$(CC) $(C_FLAGS) $(SANITIZE) -o $@ $< $(BASE) -lm

build/c/%.threads: tests/c/%.c $(C_SOURCES) $(wildcard tests/c/*.h)
	@mkdir -p $(@D)
	@$(CC) $(C_FLAGS) -O1 -fsanitize=thread -o $@ $< $(BASE) -lm
