# make app    the dashboard on http://127.0.0.1:8501 (PORT=… changes it)
# make test   what everybody runs before a change goes in; CI runs `make test-slow` as well
# All set up .venv by themselves; the second time they are quick.

PORT ?= 8501
TESTERS ?= 2
VENV := .venv
PY := $(VENV)/bin/python
APP_READY := $(VENV)/.app-ready
DEV_READY := $(VENV)/.dev-ready

# Some systems forbid Python to keep what it compiled; then each of the many processes that tests
# start would compile the engine again, and the tests themselves.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: app test test-slow fuzz test-gpu coverage check format screenshots bench clean

app: $(APP_READY)
	@echo "The dashboard starts on http://127.0.0.1:$(PORT)"
	@$(PY) -m streamlit run app/streamlit_app.py --server.port $(PORT)

# Files side by side, in their order: those with browsers have few tests that take long, and must
# not come last.
SIDE_BY_SIDE := -n $(TESTERS) --dist loadfile --no-loadscope-reorder

test: check
	$(PY) -m pytest -m "not slow and not gpu" $(SIDE_BY_SIDE)

# The long tail: every page at every width in every theme, every network of torchvision.
test-slow: $(DEV_READY)
	$(PY) -m pytest -m "slow and not gpu" $(SIDE_BY_SIDE)

# What strangers may send, damaged in many more ways: FUZZ times as many as the tests try.
FUZZ ?= 50
fuzz: $(DEV_READY)
	FUZZ=$(FUZZ) $(PY) -m pytest -m fuzz --timeout 0 $(SIDE_BY_SIDE)

test-gpu: $(DEV_READY)
	$(PY) -m pytest -m gpu

# Which lines tests run, in whatever process; TESTS=tests/engine/jobs for those of a folder.
coverage: TESTS ?= tests
coverage: $(DEV_READY)
	$(PY) -m coverage erase
	$(PY) -m coverage run -m pytest -m "not slow and not gpu and not browser" $(TESTS)
	$(PY) -m coverage combine --quiet
	$(PY) -m coverage report

check: $(DEV_READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: $(DEV_READY)
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

# Pictures of every page in every state, wide and narrow, light and dark.
screenshots: $(DEV_READY)
	PYTHONPATH=.:tests $(PY) tests/e2e/screenshots.py

bench: $(DEV_READY)
	$(PY) -m benchmarks.metagradient
	$(PY) -m benchmarks.trust
	$(PY) -m benchmarks.preset
	$(PY) -m benchmarks.estimate
	$(PY) -m benchmarks.dashboard
	$(PY) -m benchmarks.sweep
	$(PY) -m benchmarks.comparing
	$(PY) -m benchmarks.export
	$(PY) -m benchmarks.uploads

$(PY):
	@for python in "$$PYTHON" python3 python3.13 python3.12 python3.11 python3.14 python; do \
	  [ -n "$$python" ] && command -v "$$python" >/dev/null 2>&1 || continue; \
	  "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
	    >/dev/null 2>&1 || continue; \
	  echo "Making $(VENV) with $$("$$python" --version)"; \
	  exec "$$python" -m venv $(VENV); \
	done; \
	echo "Python 3.11 or newer, with venv, is needed; set PYTHON=/path/to/python."; exit 1

$(APP_READY): requirements.txt requirements-core.txt constraints.txt | $(PY)
	@echo "Installing; the first time takes a few minutes (PyTorch is large)"
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.txt -c constraints.txt
	@touch $@

$(DEV_READY): requirements-dev.txt $(APP_READY)
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt -c constraints.txt
	@touch $@

clean:
	rm -rf $(VENV) out .pytest_cache .mypy_cache .ruff_cache
