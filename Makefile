.PHONY: install test test-slow lint format types bench bench-beliefs bench-composition bench-fidelity bench-fidelity-rednet footprint newcomer bench-hints bench-gpu bench-scale chaos picture wheel wheel-check docs clean test-torch test-python
PYTHON ?= python3
TORCH ?= 2.14.1

install:  ## an editable install with everything a developer needs
	$(PYTHON) -m pip install -c constraints.txt -e '.[test,dev]'
	pre-commit install

test:  ## the whole test suite
	$(PYTHON) -m pytest -n auto --dist loadfile

test-slow:  ## what the suite leaves out: whole matrices, more clusters, half an hour
	$(PYTHON) -m pytest -n auto --dist loadfile -m slow

test-torch:  ## the suite with another torch: make test-torch TORCH=2.14.1 [TESTS="tests/ops"]
	.ci/with_torch "$(TORCH)" $(TESTS)

test-python:  ## the suite with another Python: make test-python PYTHON=python3.13 [TESTS="tests/ops"]
	PYTHON="$(PYTHON)" .ci/with_torch "" $(TESTS)

lint:
	ruff check . && ruff format --check .

format:
	ruff check --fix . && ruff format .

types:  ## strict type checking
	mypy

bench:  ## the pytest-benchmark suite
	$(PYTHON) -m pytest tests/benchmarks --benchmark-only

bench-gpu:  ## everything the operator must reach on a GPU, into results/bench-gpu.json
	$(PYTHON) -m invsearch.bench.gpu

bench-beliefs:  ## what believing gains over observing, on a table whose truth is known, into results/beliefs.json
	$(PYTHON) -m invsearch.bench.beliefs

bench-hints:  ## what hints of cheap sources save a search, and cost it, into results/bench-hints.json
	$(PYTHON) -m invsearch.bench.hints

footprint:  ## what the packages take on the disk, and to import, into results/footprint.json
	$(PYTHON) -m invsearch.bench.footprint

newcomer:  ## from the built wheel to a network of one's own photos, word for word, with the seconds
	.ci/newcomer

bench-composition:  ## what a table of blocks foretells of whole networks, into results/bench-composition.json
	$(PYTHON) -m invsearch.bench.composition

bench-fidelity:  ## what rungs, promotions and an allocation by a model save, on LCBench, into results/bench-fidelity.json
	$(PYTHON) -m invsearch.bench.fidelity

bench-fidelity-rednet:  ## what rungs and promotions save on the default space, really trained, an hour
	$(PYTHON) -m invsearch.bench.fidelity_trained --space rednet --seeds 2 --workers 2

chaos:  ## two hundred searches, disturbed at random, that must end as if nothing had happened
	PYTHONPATH=$(CURDIR)/tests:$(CURDIR) $(PYTHON) -m chaos.rounds --rounds 200

bench-scale:  ## what a trial costs the search itself, into results/bench-scale.json
	$(PYTHON) -m invsearch.bench.scale

picture:  ## the README's picture, from the run in results/rednet
	$(PYTHON) -m invsearch.report.screenshot results/rednet reports/rednet.png

wheel:
	$(PYTHON) -m build

wheel-check:  ## the wheel, with the tag it has earned, computes in a new environment without a compiler
	.ci/wheel_check

docs:  ## the documentation as a site, in build/site; warnings are errors
	NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build -q --strict

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
