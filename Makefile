# Every line is a plain command. `make run` and `make test` need nothing but Rust; they install the rest.

# A proxy of the outer world is not asked for what is on this machine.
comma := ,
export NO_PROXY := 127.0.0.1,localhost$(if $(NO_PROXY),$(comma)$(NO_PROXY))
export no_proxy := $(NO_PROXY)

.PHONY: run test check bench infra-test infra-mutate infra-apply-local container-contract dev-sleep dev-wake fmt openapi settings psql logs clean-data

# Everything on this machine; prints addresses and demo logins
run:
	scripts/install-programs
	cargo run --package platform -- dev

# All tests
test:
	scripts/install-programs
	scripts/run-tests

# Formatting, lints, licences, advisories
check:
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo clippy --locked --package platform --no-default-features -- -D warnings
	cargo clippy --locked --workspace --features sabotage --test sabotage -- -D warnings
	python3 -m doctest scripts/check-advisories.py
	cd infra/scripts && python3 -B -c 'import doctest, sys; from apply_local import credentials, drift; sys.exit(any(doctest.testmod(module).failed for module in (credentials, drift)))'
	python3 scripts/check-licences.py
	python3 scripts/check-advisories.py

# How fast it is beside what people would use instead, into loadtest/REPORT.md and report.html: about an hour.
# QUICK=1 tries it in some 8; ONLY=latency,packets repeats these sections
bench:
	scripts/install-programs
	cargo build --locked --release --package platform
	cargo run --locked --release --package loadtest -- bench $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY))

# What can be proved of infra/ without a cloud: formatting, every root valid, each environment's tests, checkov, a few mutants
infra-test:
	infra/scripts/test

# Breaks every property of infra/ in turn and names the test that noticed: some 20 minutes; ONLY=identity does those
# with the word
infra-mutate:
	infra/tests/mutate $(if $(ONLY),--only "$(ONLY)")

# Each environment applied for real against a local AWS emulator, and the platform run on what came of it: some 7 minutes
infra-apply-local:
	scripts/install-programs
	cargo build --locked --workspace --no-default-features --features dev --bin platform --example edge
	infra/scripts/apply-local

# What the image promises, proved of the release binary where no container engine runs
container-contract:
	scripts/install-programs bwrap=bubblewrap
	cargo build --locked --release --no-default-features --package platform --bin platform
	scripts/container-contract "$${CARGO_TARGET_DIR:-target}/release/platform"

# An engineer's environment without tasks and with its database stopped, and back: NAME=ann says whose
dev-sleep:
	infra/scripts/sleep --env dev --name "$(NAME)"

dev-wake:
	infra/scripts/wake --env dev --name "$(NAME)"

fmt:
	cargo fmt --all

# The committed API document, made anew from the code
openapi:
	cargo run --quiet --package platform -- openapi > openapi.json

# The committed list of settings that Terraform's tests read, made anew from the code
settings:
	cargo run --quiet --package platform -- settings > infra/settings.json

# A prompt on the database of a running `make run`
psql:
	scripts/psql

# What a running `make run` writes
logs:
	tail -f "$${FFP_DATA_DIR:-.data}/logs/platform.log"

# Forgets all local data: the next start is a first one
clean-data:
	rm -rf "$${FFP_DATA_DIR:-.data}"
