.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
PY := .venv/bin/python
T ?= tests
ARGS ?=
STATIC := gateway/pages/static/vendor

# Real servers and the browser that tests talk to. As root they are installed; otherwise the
# tests that need a missing one say so and skip.
DEBIAN := apache2-bin chromium clamav-daemon nginx-light openssh-server samba smbclient vsftpd \
  xmlsec1 default-jdk-headless libwss4j-java libxml-security-java libjaxws-java

# One set-up at a time: `make run` and `make test` may be started together.
ALONE := exec 9>.setup.lock; flock 9

##@ Use
help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile
	@echo
	@echo "Variables: PORT=8080  MAP_HOME=.run  T=tests/flows  ARGS='-k name'"

run: .venv/.ready $(STATIC)/manifest.json ## Set up everything, then the portal with its demo world (Ctrl-C ends it)
	@exec .venv/bin/gateway demo $(ARGS)

##@ Work on it
test: .venv/.ready $(STATIC)/manifest.json debian ## Set up everything, then all tests (T=path, ARGS=options)
	$(PY) -m pytest -n 2 --dist loadgroup $(ARGS) $(T)

test-crash: .venv/.ready ## Kill workers and the database some hundreds of times (a quarter of an hour)
	$(PY) -m pytest -m "crash or not crash" $(ARGS) tests/crash

check: .venv/.ready ## Format, lint, types, import contracts, templates, lock
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-logo
	.venv/bin/djlint --quiet --lint templates
	$(PY) -m tests.house.lock

format: .venv/.ready ## Format the code
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

bench: .venv/.ready $(STATIC)/manifest.json debian ## The whole benchmark (minutes); writes bench/results/
	$(PY) -m bench $(ARGS)

bench-quick: .venv/.ready $(STATIC)/manifest.json ## Ratios of processor time only, under two minutes
	$(PY) -m bench --quick $(ARGS)

lock: ## Make both locks anew from setup.cfg, with the newest versions
	@made=$$(mktemp -d); trap 'rm -rf "$$made"' EXIT; \
	python3 -m venv "$$made/venv"; "$$made/venv/bin/pip" install --quiet uv; \
	compile() { "$$made/venv/bin/uv" pip compile setup.cfg --python-version 3.11 --quiet \
	  --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header \
	  "$$@" > "$$made/lock"; \
	  { echo '# Made from setup.cfg by "make lock", with the hashes of every package. Do not edit.'; \
	    cat "$$made/lock"; }; }; \
	compile --upgrade --extra demo --extra test --extra check > "$$made/all"; \
	compile --constraint "$$made/all" > "$$made/run"; \
	mv "$$made/all" requirements.lock; mv "$$made/run" requirements-run.lock

clean: ## Remove what set-up made (not .run, the demo's data)
	rm -rf .venv node_modules $(STATIC) .*_cache .setup.lock build *.egg-info

##@ Set-up, called by the others
setup: .venv/.ready $(STATIC)/manifest.json ## The Python environment and the front-end files

# What builds packages comes first, from the lock too: then nothing is fetched outside it.
.venv/.ready: requirements.lock setup.cfg
	@$(ALONE); \
	if [ -e $@ ] && [ ! requirements.lock -nt $@ ] && [ ! setup.cfg -nt $@ ]; then exit 0; fi; \
	python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "python3 must be 3.11 or newer: $$(python3 --version 2>&1)" >&2; exit 1; }; \
	if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get -q update >/dev/null && apt-get -q install -y --no-install-recommends python3-venv >/dev/null; \
	  else echo "Python's venv module is missing (Debian: apt-get install python3-venv)" >&2; exit 1; fi; \
	fi; \
	echo "Setting up .venv (a minute or so)"; \
	rm -f $@; python3 -m venv .venv; \
	pip() { .venv/bin/pip install --quiet --disable-pip-version-check "$$@"; }; \
	awk '/^(packaging|setuptools|wheel)==/, !/\\$$/' requirements.lock > .venv/build.lock; \
	pip --require-hashes -r .venv/build.lock; \
	pip --require-hashes --no-build-isolation -r requirements.lock; \
	pip --no-deps --no-build-isolation -e .; \
	touch $@

assets: $(STATIC)/manifest.json ## Fetch front-end packages, copy what the pages use

$(STATIC)/manifest.json: package-lock.json gateway/pages/vendor.py | .venv/.ready
	@$(ALONE); \
	if [ -e $@ ] && [ ! package-lock.json -nt $@ ] && [ ! gateway/pages/vendor.py -nt $@ ]; then exit 0; fi; \
	echo "Fetching front-end packages"; \
	command -v npm >/dev/null || export PATH="$(CURDIR)/.venv/bin:$$PATH"; \
	npm ci --ignore-scripts --silent; \
	$(PY) -m gateway.pages.vendor

# policy-rc.d says no to every service: what is installed for tests must not start by itself.
debian:
	@missing=""; for p in $(DEBIAN); do \
	  dpkg-query -W -f='$${db:Status-Status}' $$p 2>/dev/null | grep -qx installed || missing="$$missing $$p"; done; \
	[ -n "$$missing" ] || exit 0; \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
	  echo "Not installed, so their tests skip:$$missing"; exit 0; fi; \
	$(ALONE); echo "Installing$$missing"; \
	if [ ! -e /usr/sbin/policy-rc.d ]; then \
	  trap 'rm -f /usr/sbin/policy-rc.d' EXIT; \
	  printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d; chmod +x /usr/sbin/policy-rc.d; fi; \
	export DEBIAN_FRONTEND=noninteractive; \
	{ apt-get -q update && apt-get -q install -y --no-install-recommends $$missing; } >.setup.log 2>&1 || \
	  { tail -5 .setup.log; echo "Could not be installed, so their tests skip:$$missing"; }

.PHONY: help run test test-crash check format bench bench-quick lock clean setup assets debian
