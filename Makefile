# Everything that a machine must have: Python 3.11 to 3.13 with venv, and make. The rest is fetched into .venv and the
# user's cache. The two commands to know are `make demo` and `make test`.

VENV := .venv
BIN := $(VENV)/bin
# PYTHON=/path/to/python3.11 make demo: another Python than the first fitting one on PATH.
PYTHON ?= $(shell for p in python3.12 python3.11 python3.13 python3; do \
	"$$p" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	&& { echo "$$p"; break; }; done)

.PHONY: help demo test test-all test-cluster fuzz mutants soak check docs format lock setup clean
.PHONY: bench bench-kernel bench-stream bench-segments bench-redis bench-producer bench-source bench-serving bench-storage bench-cluster bench-backlog bench-topics bench-first-numbers bench-words

help:               ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 20

demo: setup         ## make a segment of sample pages, ingest it, stream it, show the statistics (each time one more)
	@$(BIN)/wetstream demo

test: setup         ## the tests: real broker, real Redis, real Spark; about 20 minutes on 2 cores
	@# Four at a time on two cores: tests that start and kill servers mostly wait.
	$(BIN)/python -m pytest -q -n 4 --dist worksteal -m "not slow and not browser and not cluster"

test-all: setup     ## every test there is; needs Debian's chromium for the dashboard (apt install chromium)
	$(BIN)/python -m pytest -q --hypothesis-profile=random

test-cluster: setup ## a standalone Spark cluster of two workers that have nothing but the archive; kills, one digest
	$(BIN)/python -m pytest -q tests/cluster -o log_cli=true --log-cli-level=INFO --log-cli-format="%(asctime)s %(message)s"

fuzz: setup         ## damaged and hostile files and the properties marked `fuzz`, for 30 minutes (FUZZ="--minutes 5")
	$(BIN)/python -m tests.fuzz $(FUZZ)

mutants: setup      ## change the protocol's modules a little at a time, and see that a test notices (hours; MUTANTS=MODULE for one)
	$(BIN)/python -m tests.mutants $(MUTANTS)

soak: setup         ## the long kills, and what else takes long
	$(BIN)/python -m pytest -q -m "slow and not browser and not cluster"

bench: bench-kernel bench-stream bench-segments bench-redis bench-producer bench-source bench-serving ## the benchmarks, into bench/results/

bench-stream: setup ## streaming a filled topic beside the P2.1 batch job written the usual way
	$(BIN)/python -m bench.stream

bench-segments: setup ## one segment more or less beside a full recount
	$(BIN)/python -m bench.segments

bench-redis: setup  ## a commit of statistics beside a bare HINCRBY
	$(BIN)/python -m bench.redis.commit

bench-producer: setup ## one producer beside a bare loop of warcio and kafka-python
	$(BIN)/python -m bench.producer

bench-source: setup ## the Spark data source beside the reading of a replay
	$(BIN)/python -m bench.spark_source

bench-serving: setup ## latency and freshness of the API
	$(BIN)/python -m bench.serving

bench-first-numbers: setup ## a backfill of 40 files: when the first numbers come, and whether the lag is true
	$(BIN)/python -m bench.live.first_numbers

bench-storage: setup ## documents in a bucket against documents in a folder
	$(BIN)/python -m bench.storage

bench-cluster: setup ## replay from files by two workers of a standalone cluster, against one
	$(BIN)/python -m bench.cluster

bench-backlog: setup ## a backlog beside a trickle: the time of micro-batches, and the memory of the driver
	$(BIN)/python -m bench.backlog

bench-words: setup  ## up to 50 million distinct words in Redis: memory, commits, look-ups
	$(BIN)/python -m bench.redis.words

bench-topics: setup ## training topics beside gensim and scikit-learn: speed a core, perplexity
	$(BIN)/python -m bench.models.topics

bench-kernel: setup ## speed of the text kernel beside other ways to count words
	$(BIN)/python -m pip install -q --require-hashes -r requirements-bench.lock
	$(BIN)/python -m bench.kernel

check: setup        ## lint, format, types and structure, as CI does
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy conf producers serving sinks streaming topicmodels wetstream
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/test_structure.py

docs: setup         ## the documentation as a site, into build/site; every link checked
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

format: setup       ## put the code into form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock:               ## renew the lock files from pyproject.toml (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--extra redis --extra java --extra s3 --extra test --extra docs --extra dev pyproject.toml -o requirements.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--constraint requirements.lock --extra bench pyproject.toml -o requirements-bench.lock

setup: $(VENV)/ready

$(VENV)/ready: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { \
		echo "wetstream needs Python 3.11, 3.12 or 3.13 with the venv module, and found none on PATH."; \
		echo "Install it (Debian, Ubuntu: apt install python3-venv), or name one: PYTHON=/path/to/python3.11 make demo"; \
		exit 1; }
	@echo "making $(VENV) with $$($(PYTHON) --version) (once; about two minutes)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

clean:              ## remove what make has made here (not the state directory .wetstream)
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
