# Every target sets up what it needs: git, make and python3 >= 3.11 are all that must be there.
#   make PYTHON=/path/to/python3.11 …   names the Python
#   make demo ARGS="--port 0"           more arguments for the command of a target

SHELL := /bin/bash
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup demo test test-real torture simulate soak prove lint bench conformance fuzz clean

ARGS ?=
SECONDS ?= 60
BIN := .venv/bin

help: ## show this list
	@echo "trunkline: make TARGET"
	@sed -n 's/^\([a-z-]*\):[^#]*## /  \1\t/p' $(MAKEFILE_LIST) | expand -t 14

setup: ## make .venv from the locked list
	@scripts/bootstrap.sh

demo: setup ## start everything with simulated people; prints one line `ready {json}`
	@exec $(BIN)/trunkline serve --demo $(ARGS)

test: setup ## all tests that need no real peer (at most 10 minutes)
	$(BIN)/pytest -m "not real" $(ARGS)

test-real: setup ## real clients, a browser, kill -9 (at most 20 minutes)
	$(BIN)/pytest -m real -rs tests/real $(ARGS)

SEEDS ?= 1000
simulate: setup ## deterministic simulation; SEEDS=1000 ARGS="--from 1 --jobs 2"
	$(BIN)/trunkline dev simulate --seeds $(SEEDS) $(ARGS)

soak: setup ## 30 minutes of mixed load with faults: nothing may grow; ARGS="--minutes 5"
	@$(BIN)/trunkline dev soak $(ARGS)

DIALECTS := $(foreach name,contact maim onebot11 xianyu boss,--dialect $(name))
torture: setup ## kill -9 × 200 for each of the five dialects at all failpoints (about an hour)
	$(BIN)/trunkline dev torture $(DIALECTS) --kills 200 --jobs 2 $(ARGS)

prove: setup ## the long proofs: torture, simulation, soak (about two hours on 2 cores)
	$(BIN)/trunkline dev torture $(DIALECTS) --kills 200 --jobs 2
	$(BIN)/trunkline dev simulate --seeds $(SEEDS) --jobs 2
	$(BIN)/trunkline dev simulate --dialect xianyu --messages 100000
	$(BIN)/trunkline dev soak

lint: setup ## ruff, pyright (strict), import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

bench: setup ## CPU µs per message against two peers; ARGS=--quick for a smoke run
	$(BIN)/python bench/run.py $(ARGS)

conformance: setup ## RFC 6455 by the Autobahn suite, both roles (2 minutes; needs a CPython 2.7)
	$(BIN)/python scripts/conformance/run.py

fuzz: setup ## atheris on every decoder; SECONDS=60 each, ARGS="json_values …" for some
	SECONDS_EACH=$(SECONDS) $(BIN)/python scripts/fuzz.py $(ARGS)

clean: ## remove environments, caches and built files
	rm -rf .venv .tools .peers build dist demo-data
	rm -rf .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
