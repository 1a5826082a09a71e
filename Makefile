# Two commands for a newcomer: `make run`, `make test`. Each sets up .venv first when it is missing or stale.
PYTHON ?= python3
# One that was made elsewhere, as the image's is, is taken as it stands.
ifdef GENFLOWS_VENV
BIN := $(GENFLOWS_VENV)/bin
else
BIN := .venv/bin
SET_UP := .venv/.set-up
endif

.PHONY: run test test-all test-nightly check bench
run: $(SET_UP)
	@$(BIN)/genflows retrain

test: $(SET_UP)
	@$(BIN)/python -m pytest -n 2

test-all: $(SET_UP)
	@$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not nightly"

test-nightly: $(SET_UP)
	@$(BIN)/python -m pytest -m nightly -s

check: $(SET_UP)
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/lint-imports

bench: $(SET_UP)
	@for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

$(SET_UP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
	  echo "Genflows needs Python 3.11 to 3.13, and $(PYTHON) is another. Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "Setting up .venv (a few minutes, once) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $(SET_UP)

# The passwords of compose.yaml, made once, for their owner's eyes alone.
.env:
	@umask 077 && for name in GENFLOWS_DATABASE_PASSWORD GENFLOWS_PREFECT_PASSWORD; do \
	  printf '%s=%s\n' $$name "$$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')"; done > $@
