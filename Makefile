# Two commands matter: make demo, make test. Each builds .venv by itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.complete
DOCS := .venv-docs
ARGS ?=

# Images of Python like to set it; then each worker and each process compiles the tests and the program anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test deploy-check lint format bench schema reference docs docs-serve lock clean lambda-zip
.DEFAULT_GOAL := help

.PHONY: help
help:
	@echo "make demo    play the attacks against the real daemon on the simulator (ARGS=--stay keeps it open)"
	@echo "make test    run every test; those of services that are not installed are skipped, with the reason (ARGS=...)"
	@echo "make deploy-check  test what is in deploy/: stacks, Terraform modules, alerts, dashboards, chart, image"
	@echo "make lint    format check, lint, types, import contracts, spelling, Dockerfile"
	@echo "make lambda-zip  build dist/*.zip, the serverless form for AWS Lambda, and show sizes and cold start (ARGS=...)"
	@echo "make bench   run the benchmarks (ARGS=--rigorous for steadier figures)"
	@echo "make schema  write config/schema.json again, and the chart's schema that it is a part of"
	@echo "make reference  write again what is made from the code: docs/detectors.md, docs/peers.md, docs/reference/*,"
	@echo "             docs/pictures/*, config/example.yaml, deploy/aws/*, deploy/terraform/*, deploy/grafana/*.json,"
	@echo "             and of the chart: values.schema.json, its table, its rules and dashboards"
	@echo "make docs    build the documentation site into ./site; make docs-serve shows it on http://127.0.0.1:8000"
	@echo "make pictures  draw the dashboards anew for docs/dashboards (needs Prometheus and matplotlib)"
	@echo "make lock    write requirements/*.txt again"

# --no-build-isolation: hatchling itself comes from the hashed file, so nothing unhashed is installed.
$(STAMP): requirements/dev.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) not found: install Python 3.11 or later, or say PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "kms-monitor needs Python 3.11 or later, this is %d.%d; say PYTHON=..." % sys.version_info[:2])'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing what kms-monitor needs into $(VENV) (once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP)
	@$(BIN)/kms-monitor demo $(ARGS)

# Units share no clock and no port, so they run on all cores; journeys mostly wait, so a few at a time;
# real services have ports that only one can have.
test: $(STAMP)
ifeq ($(strip $(ARGS)),)
	$(BIN)/pytest -n auto tests/unit tests/suites
	$(BIN)/pytest -n auto --maxprocesses 4 --dist worksteal tests/journey
	$(BIN)/pytest tests/real
else
	$(BIN)/pytest $(ARGS)
endif

# What is in deploy/, by the real tools; those that are not installed are named.
deploy-check: $(STAMP)
	$(BIN)/pytest tests/unit/test_chart_reference.py tests/unit/test_stack.py tests/unit/test_serverless_stack.py \
		tests/unit/test_serverless_zip.py tests/unit/test_alerts.py tests/unit/test_page_commands.py tests/unit/test_dashboards.py \
		tests/unit/test_rights.py tests/journey/test_births.py tests/journey/test_stack.py tests/journey/test_serverless_stack.py \
		tests/real/test_stack.py tests/real/test_terraform.py tests/real/test_install_aws.py tests/real/test_install_kubernetes.py \
		tests/real/test_lambda_zip.py tests/real/test_serverless_install.py tests/real/test_prometheus.py tests/real/test_alertmanager.py tests/real/test_dashboards.py \
		tests/real/test_chart.py tests/real/test_kustomize.py tests/real/test_container.py

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell
	@if test -x $(BIN)/hadolint; then echo $(BIN)/hadolint Dockerfile; $(BIN)/hadolint Dockerfile; \
	else echo "hadolint is not made for this kind of machine: Dockerfile not looked at"; fi

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP)
	$(BIN)/python -m benchmarks $(ARGS)

# Through a file beside it, so that a command that fails leaves the old one.
schema: $(STAMP)
	$(BIN)/kms-monitor generate schema > config/schema.json.new
	mv config/schema.json.new config/schema.json
	$(BIN)/kms-monitor generate schema --serverless > config/function.schema.json.new
	mv config/function.schema.json.new config/function.schema.json
	$(BIN)/python -m deploy.helm.reference

IAM := $(BIN)/kms-monitor generate iam --config deploy/aws/kms-monitor.yaml
STACK := $(BIN)/kms-monitor generate stack --config deploy/aws/kms-monitor.yaml
reference: $(STAMP)
	$(BIN)/kms-monitor generate detectors > docs/detectors.md.new
	mv docs/detectors.md.new docs/detectors.md
	$(BIN)/kms-monitor generate detectors --settings config/example.yaml > config/example.yaml.new
	mv config/example.yaml.new config/example.yaml
	$(BIN)/kms-monitor generate event-pattern --output deploy/aws
	$(IAM) --kind policy > deploy/aws/policy.json.new
	$(IAM) --kind queue > deploy/aws/queue-policy.json.new
	$(IAM) --kind dlq > deploy/aws/dlq-policy.json.new
	for NAME in policy queue-policy dlq-policy; do mv deploy/aws/$$NAME.json.new deploy/aws/$$NAME.json; done
	for KIND in home member serverless; do $(STACK) --kind $$KIND > deploy/aws/$$KIND.yaml.new \
		&& mv deploy/aws/$$KIND.yaml.new deploy/aws/$$KIND.yaml \
		&& $(STACK) --kind $$KIND --terraform deploy/terraform/$$KIND || exit 1; done
	$(BIN)/python -m tests.peers > docs/peers.md.new
	mv docs/peers.md.new docs/peers.md
	$(BIN)/python -m manual
	$(BIN)/python -m deploy.grafana
	$(BIN)/python -m deploy.helm.reference

# The site has an environment of its own, so that nobody who wants to see the demo waits for it.
$(DOCS)/.complete: requirements/docs.txt
	@test -x $(DOCS)/bin/python || $(PYTHON) -m venv $(DOCS)
	@echo "installing what the documentation site needs into $(DOCS) (once) ..."
	@$(DOCS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/docs.txt
	@touch $@

# It speaks of its own end of life at each build: docs/decisions.md, "The site".
docs: export NO_MKDOCS_2_WARNING = 1
docs: $(DOCS)/.complete
	$(DOCS)/bin/mkdocs build $(ARGS)

docs-serve: export NO_MKDOCS_2_WARNING = 1
docs-serve: $(DOCS)/.complete
	$(DOCS)/bin/mkdocs serve $(ARGS)

# Plays the attack story before a real Prometheus, and draws what the panels show.
.PHONY: pictures
pictures: $(STAMP)
	@$(BIN)/python -c 'import matplotlib' 2>/dev/null || { echo "make pictures needs matplotlib ($(BIN)/pip install matplotlib)" >&2; exit 1; }
	DASHBOARD_PICTURES=$(CURDIR)/.pictures.json $(BIN)/pytest -q tests/real/test_dashboards.py
	$(BIN)/python -m deploy.grafana.pictures .pictures.json docs/dashboards
	rm .pictures.json

UV_COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header
lock:
	@command -v uv >/dev/null || { echo "make lock needs uv (pip install uv)" >&2; exit 1; }
	$(UV_COMPILE) pyproject.toml --extra uvloop -o requirements/run.txt
	$(UV_COMPILE) pyproject.toml --extra uvloop --extra simulator --group dev -c requirements/run.txt \
		-o requirements/dev.txt
	$(UV_COMPILE) --group build -c requirements/dev.txt -o requirements/build.txt
	$(UV_COMPILE) --group serverless -c requirements/run.txt -o requirements/serverless.txt
	$(UV_COMPILE) --group docs -c requirements/dev.txt -o requirements/docs.txt

# The same bytes each time; needs the Python of Lambda's runtime, or ARGS=--python=3.11 for another runtime.
lambda-zip: $(STAMP)
	@$(BIN)/python -m deploy.serverless $(ARGS)

clean:
	rm -rf $(VENV) $(DOCS) site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
