# Every line is a plain command. `make run` and `make test` need nothing but Rust; they install the rest.

# A proxy of the outer world is not asked for what is on this machine.
comma := ,
export NO_PROXY := 127.0.0.1,localhost$(if $(NO_PROXY),$(comma)$(NO_PROXY))
export no_proxy := $(NO_PROXY)

.PHONY: run test check bench fmt openapi psql logs clean-data

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
	python3 scripts/check-licences.py
	python3 scripts/check-advisories.py

# How fast it is beside what people would use instead, into loadtest/REPORT.md and report.html: about 55 minutes.
# QUICK=1 tries it in some 8; ONLY=latency,packets repeats these sections
bench:
	scripts/install-programs
	cargo build --locked --release --package platform
	cargo run --locked --release --package loadtest -- bench $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY))

fmt:
	cargo fmt --all

# The committed API document, made anew from the code
openapi:
	cargo run --quiet --package platform -- openapi > openapi.json

# A prompt on the database of a running `make run`
psql:
	scripts/psql

# What a running `make run` writes
logs:
	tail -f "$${FFP_DATA_DIR:-.data}/logs/platform.log"

# Forgets all local data: the next start is a first one
clean-data:
	rm -rf "$${FFP_DATA_DIR:-.data}"
