PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
VENV_MIN := .venv-min
TEST_TOOLS := "pytest>=8" "pytest-timeout>=2.3" "pytest-xdist>=3.7" "hypothesis>=6.100" "torchmetrics>=1.4" "playwright>=1.60" "axe-playwright-python>=0.1.4" "pyte>=0.8.1"

.PHONY: demo test pytest test-slow coverage test-min test-arm64 lint docs install clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: python3.11 or newer is needed; run: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -e '.[dev]'
	touch $@

demo: install
	$(BIN)/netadapt demo

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

# make -j3 -Oline test runs the three side by side
test: lint docs pytest

pytest: install
	$(BIN)/python -m pytest

# the tests that make test leaves out to stay under ten minutes
test-slow: install
	$(BIN)/python -m pytest -m slow

# the tests, and the share of lines that they run; fails below the floor in pyproject.toml
coverage: install
	COVERAGE_CORE=sysmon $(BIN)/python -m pytest -m "slow or not slow" --cov --cov-report=term:skip-covered

# the oldest versions that pyproject.toml allows, without the optional runtimes
test-min: install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	test -x $(VENV_MIN)/bin/python || $(PYTHON) -m venv $(VENV_MIN)
	$(BIN)/uv pip install --quiet --python $(VENV_MIN)/bin/python --resolution lowest-direct -e '.[depth,plot,rank,digits,evolution,tensorboard]' $(TEST_TOOLS)
	$(VENV_MIN)/bin/python -m pytest $(patsubst %,--ignore=tests/profiling/test_runtime_%.py,openvino executorch tvm)

# the agent on aarch64, emulated: tens of minutes, and Debian's mirror
test-arm64: install
	PYTHONPATH=.:tests/profiling $(BIN)/python tests/arm64/smoke.py

clean:
	rm -rf $(VENV) $(VENV_MIN) build dist *.egg-info
