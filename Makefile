.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
PY := .venv/bin/python
T ?= tests
ARGS ?=

# Real servers and the browser that tests talk to. As root they are installed; otherwise the
# tests that need a missing one say so and skip.
DEBIAN := chromium samba nginx-light smbclient

##@ Use
help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile
	@echo
	@echo "Variables: PORT=8080  MAP_HOME=.run  T=tests/flows  ARGS='-k name'"

run: .venv/.ready assets ## Set up everything, then the portal with its demo world (Ctrl-C ends it)
	@exec .venv/bin/gateway demo $(ARGS)

##@ Work on it
test: .venv/.ready assets debian ## Set up everything, then all tests (T=path, ARGS=options)
	$(PY) -m pytest -n 2 --dist loadgroup $(ARGS) $(T)

check: .venv/.ready ## Format, lint, types, import contracts, templates, lock
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/djlint --quiet --lint templates
	$(PY) -m tests.house.lock

format: .venv/.ready ## Format the code
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

bench: .venv/.ready assets debian ## The whole benchmark (minutes); writes bench/results/
	$(PY) -m bench $(ARGS)

bench-quick: .venv/.ready assets ## Ratios of processor time only, under two minutes
	$(PY) -m bench --quick $(ARGS)

lock: ## Make requirements.lock anew from setup.cfg
	python3 -m venv .venv
	.venv/bin/pip install --quiet uv
	.venv/bin/uv pip compile setup.cfg --extra demo --extra test --extra check --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-annotate --no-header --python-version 3.11 \
	  --upgrade --quiet -o requirements.new
	{ echo '# Every package with its hashes, made from setup.cfg by "make lock". Do not edit.'; \
	  cat requirements.new; } > requirements.lock
	rm requirements.new

clean: ## Remove what set-up made (not .run, the demo's data)
	rm -rf .venv node_modules gateway/pages/static/vendor .*_cache build *.egg-info

##@ Set-up, called by the others
.venv/.ready: requirements.lock setup.cfg
	@python3 -c 'import ensurepip, venv' 2>/dev/null || { [ "$$(id -u)" = 0 ] && \
	  { apt-get -q update && apt-get -q install -y --no-install-recommends python3-venv; }; } || \
	  { echo "Python's venv module is missing (Debian: python3-venv)" >&2; exit 1; }
	python3 -m venv .venv
	.venv/bin/pip install --quiet --require-hashes -r requirements.lock
	.venv/bin/pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

assets: gateway/pages/static/vendor/manifest.json ## Fetch front-end packages, copy what the pages use

gateway/pages/static/vendor/manifest.json: package-lock.json gateway/pages/vendor.py | .venv/.ready
	@if command -v npm >/dev/null; then npm ci --ignore-scripts; \
	  else PATH="$(CURDIR)/.venv/bin:$$PATH" npm ci --ignore-scripts; fi
	$(PY) -m gateway.pages.vendor

debian:
	@missing=""; for p in $(DEBIAN); do \
	  dpkg-query -W -f='$${db:Status-Status}' $$p 2>/dev/null | grep -qx installed || missing="$$missing $$p"; done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "installing$$missing"; \
	  printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d.map && chmod +x /usr/sbin/policy-rc.d.map; \
	  made=0; [ -e /usr/sbin/policy-rc.d ] || { mv /usr/sbin/policy-rc.d.map /usr/sbin/policy-rc.d; made=1; }; \
	  export DEBIAN_FRONTEND=noninteractive; \
	  apt-get -q update >/dev/null && apt-get -q install -y --no-install-recommends $$missing >/dev/null; \
	  [ $$made = 0 ] || rm -f /usr/sbin/policy-rc.d; rm -f /usr/sbin/policy-rc.d.map; \
	else echo "not installed, their tests skip:$$missing"; fi

.PHONY: help run test check format bench bench-quick lock clean assets debian
