# What a person or the CI runs. Only python3 and make are assumed; everything else is installed into
# .uv and .venv beside this file. `make` alone lists the targets.

PYTHON := .venv/bin/python
ROOMS := portal tickets surveys metrics governance
BENCHMARKS := $(basename $(notdir $(filter-out bench/__%,$(wildcard bench/*.py))))

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format lint types imports migrations deploy schema faults bench lock

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /	/' | expand -t 14

setup: ## build .venv from the lock (instant when it is built)
	@sh scripts/environment.sh

demo: setup ## run the product with a year of one organisation; Ctrl-C stops it
	@exec $(PYTHON) manage.py demo

test: setup ## run the tests
	$(PYTHON) -m pytest -n auto --dist loadfile $(ARGS)

check: lint types imports migrations deploy schema test ## everything a change must pass

format: setup ## put the code into shape
	$(PYTHON) -m ruff format .
	$(PYTHON) -m ruff check --fix .

lint: setup ## form and likely mistakes
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .

types: setup ## strict types, outside the tests; no database is asked
	DATABASE_ROLE=none $(PYTHON) -m mypy $(ROOMS) manage.py scripts

imports: setup ## the order of the rooms
	.venv/bin/lint-imports

migrations: setup ## no model without its migration
	$(PYTHON) manage.py makemigrations --check --dry-run

deploy: setup ## the values a production installation starts with are safe
	DEMO=0 PUBLIC_URL=https://wellserved.example $(PYTHON) manage.py check --deploy --fail-level WARNING

schema: setup ## the OpenAPI schema, without a warning
	$(PYTHON) manage.py spectacular --validate --fail-on-warn --file /dev/null

faults: setup ## attacks and faults at full count
	FAULTS=full $(PYTHON) -m pytest -m faults $(ARGS)

bench: setup ## ratios, each from one run
	@$(PYTHON) manage.py migrate --verbosity 0
	@for one in $(BENCHMARKS); do $(PYTHON) -m bench.$$one || exit 1; done

lock: setup ## renew requirements.lock from pyproject.toml
	cp requirements.lock .venv/before.lock
	.uv/bin/uv pip compile pyproject.toml --all-extras --group dev --group bench --generate-hashes --universal --python-version 3.12 --no-header -q -o requirements.lock
	$(PYTHON) scripts/lock_forward.py .venv/before.lock requirements.lock
