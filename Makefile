.PHONY: venv test check demo bench clean

PYTHON ?= python3
BIN = .venv/bin

venv: .venv/made

.venv/made: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	touch $@

test: venv
	$(BIN)/python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder

check: venv
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

demo: venv
	$(BIN)/branchsearch run scenes_quick --home demo

bench: venv
	$(BIN)/python -m benchmarks.network
	$(BIN)/python -m benchmarks.loading
	$(BIN)/python -m benchmarks.engine
	$(BIN)/python -m benchmarks.solver
	$(BIN)/python -m benchmarks.affinity
	$(BIN)/python -m benchmarks.training
	$(BIN)/python -m benchmarks.samplers
	$(BIN)/python -m benchmarks.export

clean:
	rm -rf .venv demo
