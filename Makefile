# One target per thing a user wants; each is a thin call of `python -m wherewhat_pl VERB key=value ...`.
# The first call builds .venv (pinned in constraints.txt); after that it costs nothing.

PYTHON ?= python3
EXP    ?= shapes3d_quick
NAME   ?= celeba
RUN    ?=
RUNS   ?=
METRICS ?=
ARGS   ?=

VENV := .venv
RUNNER := $(VENV)/bin/python -m wherewhat_pl

.DEFAULT_GOAL := help
.PHONY: help train data eval select report bench test test-slow lint clean

help: ## show this list
	@echo "make TARGET [EXP=name] [RUN=name] [ARGS=\"key=value ...\"]"
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':[^#]*## ' '{printf "  %-10s %s\n", $$1, $$2}'
	@echo "experiments: $(notdir $(basename $(wildcard experiments/*.yaml)))"

train: $(VENV)/ready ## train, or continue, an experiment: EXP=shapes3d [RUN=name] [ARGS="model.ps.weight=0.1"]
	$(RUNNER) train exp=$(EXP) $(if $(RUN),run.name=$(RUN)) $(ARGS)

data: $(VENV)/ready ## verify and prepare a data set, or say where to get it: NAME=celeba|ffhq|dsprites|shapes3d
	$(RUNNER) data name=$(NAME) $(ARGS)

eval: $(VENV)/ready ## measure a run: RUN=runs/shapes3d/NAME [METRICS=tpl_small,fvm,mig]
	$(RUNNER) eval "run=$(RUN)" $(if $(METRICS),metrics=$(METRICS)) $(ARGS)

select: $(VENV)/ready ## rank runs by TPL, without labels: RUNS='runs/shapes3d/*'
	$(RUNNER) select "runs=$(RUNS)" $(ARGS)

report: $(VENV)/ready ## write a run's report.html: RUN=runs/shapes3d/NAME
	$(RUNNER) report "run=$(RUN)" $(ARGS)

bench: $(VENV)/ready ## measure speed, as ratios from one run
	$(RUNNER) bench $(ARGS)

test: $(VENV)/ready ## the fast tests
	$(VENV)/bin/python -m pytest -m "not slow" $(ARGS)

test-slow: $(VENV)/ready ## the slow ones
	$(VENV)/bin/python -m pytest -m slow $(ARGS)

lint: $(VENV)/ready ## ruff and mypy over everything
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

clean: ## remove the environment (runs and data stay)
	rm -rf $(VENV)

# A torch that the system's Python already has (a CUDA build, say) is used as it is; otherwise the pinned one is taken.
$(VENV)/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: Python 3.11 or newer is needed; set PYTHON=..."; exit 1; }
	@echo "setting up $(VENV), once"
	@if $(PYTHON) -c 'import torch, sys; sys.exit(tuple(map(int, torch.__version__.split("+")[0].split(".")[:2])) < (2, 11))' 2>/dev/null; then \
		$(PYTHON) -m venv --system-site-packages $(VENV) && grep -vE '^(torch|numpy|nvidia|triton)' constraints.txt > $(VENV)/constraints.txt; \
	else \
		$(PYTHON) -m venv $(VENV) && cp constraints.txt $(VENV)/constraints.txt; \
	fi
	@$(VENV)/bin/python -m pip install --disable-pip-version-check -c $(VENV)/constraints.txt torch
	@$(VENV)/bin/python -m pip install --disable-pip-version-check -c $(VENV)/constraints.txt -e ".[dev]"
	@# a carrier of weights only: its own requirements would bring torchvision
	@$(VENV)/bin/python -m pip install --disable-pip-version-check --no-deps -c $(VENV)/constraints.txt stlpips-pytorch
	@touch $@
