# `make demo` runs everything on this machine; `make test` passes every test; the rest is for those who change the code.
.PHONY: demo test check bench soak simulate lock clean

# Arguments for what is run, e.g. make demo ARGS="--listen 127.0.0.1:9000", make test ARGS="tests/broker -k ledger".
ARGS ?=

# How many faults `make soak` has happen: five a second.
FAULTS ?= 3000

demo:
	@scripts/setup.sh run
	@exec .venv/bin/pixelferry up $(ARGS)

# What needs the whole machine, ports of its own or a browser runs alone; all else on two cores, which two workers keep
# busy. Clusters that fail have addresses of their own, and mostly wait.
BUILDS = tests/system/test_image.py tests/system/test_wheel.py
SHARING = $(filter-out tests/system/ tests/__pycache__/,$(sort $(wildcard tests/*/)))
test:
	@scripts/setup.sh test
	node --test tests/web/*.test.js
ifeq ($(strip $(ARGS)),)
	.venv/bin/python -m pytest --numprocesses 2 --dist loadfile $(BUILDS) $(SHARING)
	.venv/bin/python -m pytest --numprocesses 2 tests/system/failures
	.venv/bin/python -m pytest tests/system --ignore tests/system/failures $(BUILDS:%=--ignore %)
else
	.venv/bin/python -m pytest $(ARGS)
endif

check:
	@scripts/setup.sh test
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	node_modules/.bin/tsc --project .

bench:
	@scripts/setup.sh test
	.venv/bin/python -m bench $(ARGS)

# Has thousands of faults happen to a cluster, drawn from a seed (docs/reliability.md).
soak:
	@scripts/setup.sh test
	FAILURES_COUNT=$(FAULTS) .venv/bin/python -m pytest tests/system/failures/test_random_faults.py -s $(ARGS)

# Runs a fleet under simulated time and writes docs/simulation.md: minutes on one core.
simulate:
	@scripts/setup.sh test
	.venv/bin/python -m simulation $(ARGS)

# Writes the locks of Python packages anew, in the newest versions that pyproject.toml allows.
lock:
	@scripts/setup.sh test
	scripts/lock.sh

clean:
	rm -rf .venv node_modules artifacts dist build .mypy_cache .ruff_cache .pytest_cache .schemathesis .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
