# One target per thing a user wants. Every verb of `python -m wherewhat_pl` is one (a file in wherewhat_pl/commands/);
# what is set on make's command line, in capitals or not, becomes its key=value, whatever the value holds.
# The first call builds .venv (pinned in constraints.txt); after that it costs nothing.

PYTHON ?= python3
ARGS ?=
VENV := .venv
RUNNER := $(VENV)/bin/python -m wherewhat_pl
COMMANDS := $(filter-out __init__,$(basename $(notdir $(wildcard wherewhat_pl/commands/*.py))))
VERBS := $(patsubst %-,%,$(subst _,-,$(COMMANDS)))

# Values travel in the environment, as they were typed: neither make nor the shell reads them again. Names with dots
# cannot stand there, so all get other ones.
SAID := $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name)))
$(foreach name,$(SAID),$(eval override $(name) := $$(value $(name))))
$(foreach name,$(SAID),$(eval export SAID_$(subst .,_DOT_,$(name)) := $$($(name))))
KEYS := $(filter-out PYTHON VENV RUNNER ARGS,$(SAID))
export ARGS KEYS RUN_KEY

# ARGS is split into words as a shell would, but nothing in it is run.
define CALL
import os, shlex, sys
said = []
for name in os.environ["KEYS"].split():
    key = os.environ["RUN_KEY"] if name == "RUN" else name.lower()
    value = os.environ["SAID_" + name.replace(".", "_DOT_")]
    said += [f"{key}={value}"] if value else []
try:
    words = [*sys.argv[1:], *said, *shlex.split(os.environ["ARGS"])]
except ValueError as error:
    sys.exit(f"error: ARGS={os.environ['ARGS']}: {error}")
print(shlex.join(words), flush=True)
os.execvp(words[0], words)
endef
export CALL

.DEFAULT_GOAL := help
.PHONY: help $(VERBS) test test-slow lint clean

help: ## show this list
	@echo 'make TARGET [KEY=value ...] [ARGS="key=value ..."]; make VERB ARGS=--help lists what can be set'
	@for file in $(COMMANDS); do verb=$$(echo $${file%_} | tr _ -); \
		sed -n "1s/\"\"\"\(.*\)\.\"\"\"/$$verb:\1/p" wherewhat_pl/commands/$$file.py; done \
		| awk -F: '{printf "  %-12s %s\n", $$1, $$2}'
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':[^#]*## ' '{printf "  %-12s %s\n", $$1, $$2}'
	@echo "experiments: $(notdir $(basename $(wildcard experiments/*.yaml)))"

# exec: a shell in between would report a Ctrl-C that the command takes for its usual end.
$(VERBS): RUN_KEY = run
train slurm: RUN_KEY = run.name
train: DEFAULT = $(if $(filter EXP,$(KEYS)),,exp=shapes3d_quick)
$(VERBS): $(VENV)/ready
	@exec $(VENV)/bin/python -c "$$CALL" $(RUNNER) $@ $(DEFAULT)

# A process per core, a file's tests in one of them; long files come early in the order of the folders.
TEST = @$(VENV)/bin/python -c "$$CALL" $(VENV)/bin/python -m pytest \
	--numprocesses auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder

test: $(VENV)/ready ## the fast tests
	$(TEST) -m "not slow"

test-slow: $(VENV)/ready ## the slow ones
	$(TEST) -m slow

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
