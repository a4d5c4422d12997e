# make setup once, then: make demo · make test · make bench · make chaos · make check
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
STAMP := $(VENV)/.setup-stamp

.DEFAULT_GOAL := help
# What touches Dagster: its storage, its tables, its commands, its UI; and whole episodes on top of them.
DAGSTER_TESTS := $(addprefix tests/,runtime tables/test_store.py checks assets sandbox env/test_env.py)
.PHONY: help setup demo test test-dagster bench ablation chaos check docs release lock

help:
	@echo "make setup   virtual environment in $(VENV), from requirements.lock with hashes"
	@echo "make demo    one held-out incident, played live on real Dagster"
	@echo "make test    the tests"
	@echo "make test-dagster VERSION=1.12.13   the tests that touch Dagster, on another release of it"
	@echo "make check   lint, format, types, import arrows, OpenEnv manifest"
	@echo "make bench   how fast creating and stepping are"
	@echo "make ablation   what each restated function of Dagster's saves"
	@echo "make chaos   whether anything is lost when servers are killed and disks fill up"
	@echo "make docs    the documentation, into build/site"
	@echo "make release VERSION=x.y.z   version, changelog, wheel and sdist, played once; CHECK=1 changes nothing"
	@echo "make lock    requirements.lock anew from pyproject.toml"

setup: $(STAMP)

# The stamp is younger than what it was made from, so a second `make setup` does nothing.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 14) else f"Python 3.11 to 3.13 is needed, $(PYTHON) is {sys.version.split()[0]}: try make setup PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --python $(BIN)/python --compile-bytecode --require-hashes -r requirements.lock
	$(BIN)/uv pip install --python $(BIN)/python --no-deps -e .
	@touch $@

demo: setup
	$(BIN)/mario demo

test: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile

# An environment of its own: the lock without Dagster, then the release asked for with the packages that go with it.
test-dagster: OTHER = .venv-dagster-$(VERSION)
test-dagster: setup
	@test -n "$(VERSION)" || { echo "which release? make test-dagster VERSION=1.12.13"; exit 2; }
	test -x $(OTHER)/bin/python || $(BIN)/uv venv --quiet --python $(BIN)/python $(OTHER)
	awk '/^[a-z0-9]/ { skip = /^dagster/ } !skip' requirements.lock > $(OTHER)/requirements.lock
	$(BIN)/uv pip install --quiet --python $(OTHER)/bin/python --require-hashes -r $(OTHER)/requirements.lock
	$(BIN)/uv pip install --quiet --python $(OTHER)/bin/python dagster==$(VERSION) dagster-webserver==$(VERSION)
	$(BIN)/uv pip install --quiet --python $(OTHER)/bin/python --no-deps -e .
	$(OTHER)/bin/python -m pytest -n 2 --dist loadfile $(DAGSTER_TESTS)

bench: setup
	$(BIN)/mario bench speed

ablation: setup
	$(BIN)/mario bench ablation

chaos: setup
	$(BIN)/mario bench chaos

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/openenv validate . --level static

docs: setup
	$(BIN)/mkdocs build --strict

release: setup
	$(BIN)/python scripts/release.py $(VERSION) $(if $(CHECK),--dry-run)

lock:
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url -o requirements.lock
