# Everything a person does with Metanode, one line each: `make help`.
PYTHON ?= python3
BIN := .venv/bin
# One place for compiled Rust; CI keeps it outside the clone (see .ci/run).
export CARGO_TARGET_DIR ?= $(CURDIR)/target

.DEFAULT_GOAL := help
.PHONY: check-compose fuzz-rpc help setup setup-dev soak up down reset status doctor logs test unit sim sim-long mutants conformance fuzz-evm fuzz-decode acceptance integration faults rust-test lint fmt docs docs-site types bench clean

help: ## show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Python packages (locked, hashed), the Rust engine (release) and the documentation's pages, with progress
	@$(PYTHON) tools/setup.py

setup-dev: setup ## the same, and what tests and benchmarks need
	@$(PYTHON) tools/setup.py --dev

up: setup ## start the local testnet and wait until all validators agree on a finalized block
	@$(BIN)/metanode up $(ARGS)

down: ## stop the local testnet; chain data and keys stay
	@$(BIN)/metanode down

reset: ## stop, ask, and delete chain data; keys stay
	@$(BIN)/metanode reset

status: ## heights, peers and endpoints of the running testnet
	@$(BIN)/metanode status

doctor: ## say why the chain moves or does not, and what to do
	@$(BIN)/metanode doctor

logs: ## follow the logs of all nodes
	@$(BIN)/metanode logs --follow

lint: setup-dev ## ruff, import layers, cargo fmt, clippy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PYTHONPATH=src $(BIN)/lint-imports
	cargo fmt --all --check
	cargo fmt --manifest-path rust/fuzz/Cargo.toml --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo clippy --locked --manifest-path rust/fuzz/Cargo.toml --target-dir "$${CARGO_TARGET_DIR:-target}" --all-targets -- -D warnings

fmt: ## format Python and Rust
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .
	cargo fmt --all
	cargo fmt --manifest-path rust/fuzz/Cargo.toml

docs: setup ## write the reference pages that are generated from the code
	@$(BIN)/python tools/reference.py

docs-site: setup ## the same pages, build/docs-site, but a wrong link or a warning fails
	@$(BIN)/mkdocs build --quiet --clean

types: setup-dev ## mypy strict; the stub of the Rust engine against the binary
	$(BIN)/mypy
	$(BIN)/mypy benchmarks tools
	$(BIN)/python -m mypy.stubtest metanode._engine

test: setup-dev ## every test: Rust, unit, simulation, fuzzing, integration, toolkit, acceptance
	$(BIN)/python -m tests.everything $(ORDER)

rust-test: ## tests of the Rust crates
	cargo test --locked --workspace --quiet

unit: setup-dev ## the tests of single modules
	$(BIN)/python -m pytest -q -n 2 --dist loadfile tests/unit

integration: setup-dev ## real sockets, real processes
	$(BIN)/python -m pytest -q tests/integration

faults: setup-dev ## the whole table of real faults on real processes, docs/evidence/faults.md: 45 minutes, goes on where it stopped
	PYTHONPATH=src $(BIN)/python -m tests.integration.faults $(ARGS)

HOURS ?= 8
soak: setup-dev ## hours of load on four real processes: memory and open files must not grow with time: make soak HOURS=8; writes docs/evidence/soak.md
	PYTHONPATH=src $(BIN)/python -m tests.integration.faults.soak --hours $(HOURS) $(ARGS)

check-compose: setup ## deploy to a real Docker engine and look at what runs, docs/evidence/docker.md: as root, needs docker.io and mmdebstrap
	$(BIN)/python deploy/check_compose.py $(ARGS)

acceptance: setup-dev ## a real network and users' own tools: web3.py, ethers, viem, Foundry, Hardhat, devp2p
	$(BIN)/python -m pytest -q tests/acceptance

fuzz-rpc: setup-dev ## call every JSON-RPC method of a real node with good and bad parameters for ten minutes: ARGS='--seconds 3600 --seed 7' [REPORT=1]
	PYTHONPATH=src $(BIN)/python -m tests.integration.hostile.fuzzing $(ARGS) \
	  $(if $(REPORT),--report docs/evidence/fuzz-rpc.md --commit "$$(git rev-parse --short=12 HEAD)")

SEED ?= 1
RUNS ?= 5
LONG_RUNS ?= 1000
# Five seeds within four minutes on two processors.
SEED_S := 48
sim: setup ## simulate consensus on virtual time, and print a table: make sim SEED=7 RUNS=20
	$(BIN)/python -m metanode.simulation --seed $(SEED) --runs $(RUNS) --jobs 2 --within $(SEED_S)

sim-long: setup ## the same with 1,000 seeds of each scenario; goes on after a kill, and writes docs/evidence/simulation.md
	$(BIN)/python -m metanode.simulation --seed $(SEED) --runs $(LONG_RUNS) --jobs 2 --journal build/simulation \
	  --report docs/evidence/simulation.md --commit "$$(git rev-parse --short=12 HEAD)"

mutants: setup-dev ## take rules out of the protocol and see that a scenario notices; writes docs/evidence/mutants.md
	$(BIN)/python -m tests.simulation.mutants

CASES ?= *
conformance: setup-dev ## the official cases of Ethereum, suite by suite: make conformance [VECTORS=DIR] [CASES='*RLP*'] [REPORT=1]
	PYTHONPATH=src $(BIN)/python -m tests.conformance --cases '$(CASES)' $(if $(VECTORS),--vectors '$(VECTORS)') $(if $(REPORT),--report --commit "$$(git rev-parse --short=12 HEAD)")

fuzz-evm: RUNS = 600
fuzz-evm: setup-dev ## random chains on our engine and on Ethereum's executable specification: make fuzz-evm SEED=7 RUNS=100 [REPLAY=FILE]
	PYTHONPATH=src $(BIN)/python -m tests.fuzz $(if $(REPLAY),--replay '$(REPLAY)',--seed $(SEED) --runs $(RUNS) \
	  $(if $(filter file,$(origin RUNS)),--transitions 2000)) \
	  $(if $(REPORT),--report docs/evidence/fuzz-evm.md --commit "$$(git rev-parse --short=12 HEAD)")

SECONDS ?= 60
fuzz-decode: setup-dev ## libFuzzer on what decodes the bytes of strangers and of the disk, so long for each target: make fuzz-decode SECONDS=600 [REPLAY=FILE]
	PYTHONPATH=src $(BIN)/python -m tests.fuzz.decoding $(if $(REPLAY),--replay '$(REPLAY)',--seconds $(SECONDS))

bench: setup-dev ## every benchmark, with geth and anvil beside ours; prints the ratios
	$(BIN)/python -m benchmarks $(ARGS)

clean: ## remove what was built here; chain data and keys stay
	rm -rf target .venv build dist
