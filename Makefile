# Every target makes its own .venv; nothing else on the machine is touched.
PYTHON ?= python3
BIN := .venv/bin
# Variables for the quick start: make quickstart SCALE=tiny OUT=/somewhere SEED=1
SCALE ?= small
OUT ?= quickstart
SEED ?= 0
REAL ?= .cache/real
# Tests of `make more`, a file or folder a line.
MORE := \
	tests/training/test_trl_trainers.py \
	tests/training/tuning/test_prefer_job.py tests/experiments \
	tests/training/tuning/test_processes.py::test_preferring \
	tests/docs/test_site.py 'tests/docs/test_snippets.py::test_python_of_the_documentation_runs[talking.md]' \
	tests/demo/test_page.py \
	tests/demo/test_browser.py \
	tests/training/loop/test_writers.py \
	tests/training/recipes/test_s3.py \
	tests/serving \
	tests/inference/test_eight_bits.py

.PHONY: quickstart test more docs real official stops kills starts check format bench clean

quickstart: .venv/.offline
	$(BIN)/smoltolk quickstart --out $(OUT) --scale $(SCALE) --seed $(SEED)

test: .venv/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --durations 40

# Tests that need more extras than all others.
more: .venv/.more
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(MORE)

# The documentation as a site in site/: strictly, without a network. Look at it: python -m http.server -d site
docs: .venv/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	$(BIN)/python docs/building/check.py site

# Ctrl-C and SIGTERM at twenty random moments of every long verb, and three processes of each at once: an hour.
stops: .venv/.dev
	SMOLTOLK_STOPS=20 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 tests/cli/test_stops.py tests/cli/test_two_at_once.py

# SIGKILL at ten random moments of a training, which then ends as if there had been none; and of tunings (extra 'lora').
kills: .venv/.dev
	SMOLTOLK_KILLS=10 OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/training/test_kills.py \
		tests/training/tuning/test_processes.py

# Fifty fresh starts of four processes each.
starts: .venv/.dev
	SMOLTOLK_STARTS=50 OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/training/test_starts.py

# The whole way on recordings of human voices out of Debian's packages; where apt-get cannot fetch them it says so.
real: .venv/.dev
	$(BIN)/python benchmarks/real $(REAL)

# Our sWUGGY and sBLIMP beside the official scorer's, which wants an environment of its own.
official: .venv/.dev .venv-official/.done
	$(BIN)/python benchmarks/official.py --scorer .venv-official/bin/python

.venv-official/.done:
	$(PYTHON) -m venv .venv-official
	.venv-official/bin/python -m pip install --quiet --disable-pip-version-check 'zerospeech-benchmarks==0.9.4' 'pandas<3'
	touch $@

check: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/.dev
	$(BIN)/python benchmarks/model.py
	$(BIN)/python benchmarks/training_step.py
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/codebooks.py
	$(BIN)/python benchmarks/data.py
	$(BIN)/python benchmarks/corpora.py
	$(BIN)/python benchmarks/audio.py
	$(BIN)/python benchmarks/speech.py
	$(BIN)/python benchmarks/units.py

.venv/.offline .venv/.dev .venv/.more .venv/.docs: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing into .venv: some minutes, and up to 1.7 GB the first time"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(patsubst .venv/.%,%,$@)]'
	touch $@

clean:
	rm -rf .venv .venv-official quickstart quickstart-* build dist site .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
