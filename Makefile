# Each target makes what it needs in .venv and runs again for nothing; `make` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
STAMPS := $(VENV)/.stamps
# What an installed environment depends on; hatch_build.py compiles the front end.
DESCRIPTION := pyproject.toml constraints.txt $(wildcard hatch_build.py edge_ser/dsp/*.c)
OUT := out

.DEFAULT_GOAL := help
.PHONY: help demo test bench lint clean soak faults arm

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /make \1\t/' | expand -t 14

# --- set-up: a stamp file per set of extras, remade when the project's description changes -----------------
$(STAMPS)/venv:
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	mkdir -p $(STAMPS) && touch $@

# What a device has, and the plots: neither torch nor numba.
$(STAMPS)/demo: $(DESCRIPTION) $(STAMPS)/venv
	$(PIP) -e '.[audio,litert,onnx,plot]'
	touch $@

# torch first and alone, so that the build without CUDA is taken where one is at hand.
$(STAMPS)/dev: $(DESCRIPTION) $(STAMPS)/venv
	$(PIP) torch==2.13.0
	$(PIP) -e '.[dev]'
	touch $@ $(STAMPS)/demo

# The peers that the front end is measured against.
$(STAMPS)/bench: $(STAMPS)/dev
	$(PIP) -e '.[bench]'
	touch $@

demo: $(STAMPS)/demo ## hear it work: live reading, what it costs here, a picture (needs no microphone)
	@bash scripts/demo.sh $(BIN)/edge-ser $(OUT)/demo

# One thread for each of the two workers: with two each they wait for one another, at twice the processor time.
test: lint ## ruff, mypy and every test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --durations=15

bench: $(STAMPS)/bench ## timings of the engines, and of the front end beside its peers'
	$(BIN)/python -m pytest benchmarks --benchmark-enable --benchmark-sort=name \
		--benchmark-columns=median,iqr,min,max,rounds $(ARGS)
	$(BIN)/python -m benchmarks.front_end

soak: $(STAMPS)/dev ## a day of listening, faster than real time; HOURS=1, ARGS=--realtime
	$(BIN)/python -m benchmarks.soak --hours $(or $(HOURS),24) $(ARGS)

faults: $(STAMPS)/dev ## listening through 200 faults at each rate: is the account exact?
	$(BIN)/python -m benchmarks.faults $(ARGS)

arm: $(STAMPS)/dev ## install from the wheel into an ARM root, and run there under QEMU (root, qemu-user-static); SUITE=trixie, ARCH=armhf
	PYTHON=$(BIN)/python SUITE=$(SUITE) ARCH=$(ARCH) bash scripts/arm.sh $(ARGS)

lint: $(STAMPS)/dev ## ruff and mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

clean: ## remove what the targets made, the environment too
	rm -rf $(VENV) $(OUT) edge_ser/dsp/_front_end.so .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks build dist
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
