# A fresh machine needs Python 3.11 or newer, git and make: the rest comes into .tools/ and .venv/ of this checkout.
PYTHON ?= python3
UV := .tools/bin/uv
export PATH := $(CURDIR)/.tools/bin:$(PATH)

.PHONY: demo test lint bench

demo: $(UV) ## A model's first day: generate, train, review, merge, release, serve, ask
	@$(UV) run --quiet python tests/demo.py

test: $(UV) ## The whole suite; `make test ARGS="-m 'not slow'"` is the quick part
	@$(UV) run --quiet pytest --numprocesses auto --maxprocesses 4 --dist worksteal $(ARGS)

lint: $(UV) ## Format, lint and types of the template's own code
	@$(UV) run --quiet ruff format --check hooks tests && $(UV) run --quiet ruff check hooks tests && $(UV) run --quiet mypy

bench: $(UV) ## The benchmarks, each against its peers in the same run; minutes
	@set -e; for file in tests/bench/*.py; do echo "$$file"; PYTHONPATH='tests:{{cookiecutter.project_slug}}/src' $(UV) run --quiet python "$$file"; done

# Made aside and moved into place, so that an installation that was killed leaves nothing to trip over.
CHECK := import sys; sys.version_info >= (3, 11) or sys.exit("error: Python 3.11 or newer is needed and this is %d.%d: add PYTHON=python3.12, or the path of one" % sys.version_info[:2])
$(UV): Makefile
	@$(PYTHON) -c '$(CHECK)' && rm -rf .tools .tools.part && $(PYTHON) -m venv .tools.part && .tools.part/bin/pip install --quiet --disable-pip-version-check uv==0.13.9 && mv .tools.part .tools
