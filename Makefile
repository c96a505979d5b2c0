# What runs this project for a person. `make` alone lists it; every target sets up first what it needs.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

# The first Python on the PATH that is new enough.
PYTHON ?= $(or $(firstword $(foreach p,python3 python3.13 python3.12 python3.11,$(shell \
	$(p) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(p)))),$(error Python 3.11 or newer is needed))
VENV := .venv
INSTALLED := $(VENV)/.installed
AZURITE := node_modules/.installed
LOCKS := requirements/dev.txt requirements/build.txt
PIP = $(VENV)/bin/python -m pip --disable-pip-version-check --quiet
HAS_NODE = node -e 'process.exit(+(parseInt(process.versions.node) < 18))' 2>/dev/null && command -v npm >/dev/null

export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

# Some machines forbid Python to keep what it has compiled. The tests start hundreds of processes, which would all
# compile the project again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup node demo test unit versions check house docs pictures hooks format bench chaos search fuzz lock clean

help: ## List the targets
	@sed -nE 's/^([a-z]+):[^#]*## (.*)/  make \1 \2/p' Makefile | while read -r make name text; do printf '  make %-8s %s\n' "$$name" "$$text"; done

setup: node $(AZURITE) ## Install everything into .venv and node_modules (all the others do it first)

# An environment that is broken, or whose Python is gone, counts as not installed.
$(shell $(VENV)/bin/python -c 'import pip' 2>/dev/null || rm -f $(INSTALLED))

$(INSTALLED): $(LOCKS) pyproject.toml
	@$(VENV)/bin/python -c 'import pip' 2>/dev/null || { echo "setup: making $(VENV) with $$($(PYTHON) --version)"; $(PYTHON) -m venv --clear $(VENV); }
	@echo "setup: installing the locked Python packages (a minute or two)"
	@$(PIP) install --require-hashes $(LOCKS:%=-r %)
	@PYTHONWARNINGS=ignore $(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

node: $(INSTALLED)
	@{ $(HAS_NODE); } || { echo "setup: no Node on the PATH, installing one into $(VENV)"; $(PIP) install --require-hashes -r requirements/node.txt; }

$(AZURITE): package.json package-lock.json | node
	@echo "setup: installing Azurite and the tests' browser with Node $$(node --version)"
	@npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

demo: setup ## A push from webhook to container group: v1 to v2, then a bad image rolled back (SENDER=ghcr, KEEP=1)
	@python -m tests.demo $(if $(SENDER),--sender $(SENDER)) $(if $(filter-out 0,$(KEEP)),--keep)

# Three at a time, whatever the machine: most of them wait for processes of their own.
test: setup ## All tests, on a real Azurite, and every branch of what decides and carries out (ARGS="-k words" for some)
	python -m pytest $(or $(ARGS),--cov -n 3 --dist worksteal)

unit: setup ## Unit and property tests alone, within a minute
	python -m pytest tests/unit tests/property -q -n 2 --dist worksteal

versions: setup ## Unit and property tests on every supported Python that is installed
	nox --session unit

# Short ones first, so that a slip shows at once.
check: setup ## Lint, format, spelling, prose, types, import contracts, the house's drawing, the documentation site
	ruff check
	ruff format --check
	codespell
	python -m tools.prose
	lint-imports
	bandit --quiet --configfile pyproject.toml --recursive ingress shared worker
	python -m tools.house --check
	python -m mkdocs build
	mypy

house: setup ## Draw the rooms, floors and import arrows of worker/ into docs/architecture.md
	python -m tools.house

docs: setup ## Build the documentation site into build/site; broken links and anchors fail
	python -m mkdocs build

pictures: setup ## Take the pictures of the status page that are in docs/
	@python -m tests.pictures

hooks: setup ## Run the quick checks before every commit (pre-commit)
	pre-commit install

format: setup ## Fix what ruff can fix, and break long lines of the documentation
	ruff check --fix
	ruff format
	python -m tools.prose --wrap

bench: setup ## Measure throughput, latency and costs (PUSHES=, ROLLOUTS=, AGAINST=another checkout)
	python -m tests.bench $(if $(PUSHES),--pushes $(PUSHES)) $(if $(ROLLOUTS),--rollouts $(ROLLOUTS)) \
		$(if $(AGAINST),--against $(AGAINST))

chaos: setup ## Kill, stall and disturb everything for a while; nothing may be lost (PUSHES=, SECONDS=, SEED=)
	python -m tests.chaos $(if $(PUSHES),--pushes $(PUSHES)) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED))

search: setup ## Random schedules over the real controller, in memory; nothing may break (SECONDS=, SEED=)
	python -m tests.search $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED))

fuzz: setup ## Mutated webhooks and messages against a real ingress and worker (REQUESTS=, MESSAGES=, SEED=)
	@python -m tests.fuzz $(if $(REQUESTS),--requests $(REQUESTS)) $(if $(MESSAGES),--messages $(MESSAGES)) \
		$(if $(SEED),--seed $(SEED))

COMPILE = CUSTOM_COMPILE_COMMAND="make lock" pip-compile --quiet --generate-hashes --allow-unsafe --no-strip-extras \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links
lock: setup ## Renew the locks, with the oldest Python that is supported (UPGRADE=1 for the newest releases)
	python -c 'import sys; sys.exit(sys.version_info[:2] > (3, 11) and "make the locks with Python 3.11")'
	$(COMPILE) $(if $(UPGRADE),--upgrade) --extra dev --extra traces -o requirements/dev.txt pyproject.toml
	cp requirements/dev.txt requirements/runtime.txt
	$(COMPILE) --extra traces -o requirements/runtime.txt pyproject.toml
	$(COMPILE) --build-deps-for editable --only-build-deps -o requirements/build.txt pyproject.toml
	$(COMPILE) $(if $(UPGRADE),--upgrade) -o requirements/node.txt requirements/node.in
	npm $(if $(UPGRADE),update,install) --package-lock-only --omit-lockfile-registry-resolved --no-audit --no-fund

clean: ## Remove everything that setup and the tools made
	rm -rf $(VENV) node_modules build dist .run .nox .coverage .*_cache .hypothesis mutants ./*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
