.PHONY: install test lint format types bench report wheel clean
PYTHON ?= python3

install:  ## an editable install with everything a developer needs
	$(PYTHON) -m pip install -c constraints.txt -e '.[test,dev]'
	pre-commit install

test:  ## the whole test suite
	$(PYTHON) -m pytest -n auto --dist loadfile

lint:
	ruff check . && ruff format --check .

format:
	ruff check --fix . && ruff format .

types:  ## strict type checking
	mypy

bench:  ## the pytest-benchmark suite
	$(PYTHON) -m pytest tests/benchmarks --benchmark-only

wheel:
	$(PYTHON) -m build

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
