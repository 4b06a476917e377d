# `make test` installs what is missing and runs everything, with small counts; `make test-full` with the counts that the
# issues name, planted defects and fuzzing. Both print the minutes of each part.

SHELL := /bin/bash
CARGO_DENY_VERSION := 0.20.2

.PHONY: test test-full tools mutants fuzz locks fmt clippy docs deny bench

test: tools
	@tools/parts.sh tests 'cargo test --workspace --locked --quiet' \
	  build 'cargo build --release --locked'

test-full: tools
	@FAIRGROUND_TRIALS_FULL=1 tools/parts.sh tests 'cargo test --workspace --locked --quiet' \
	  mutants tools/mutants.sh \
	  fuzz tools/fuzz.sh \
	  build 'cargo build --release --locked' \
	  bench 'target/release/fairground bench draws --seconds 3 --json'

# A C compiler builds SQLite and the allocator; python3 runs the outsider's verifier; trials start mariadbd themselves. Its
# core package has no service that would run beside them.
tools:
	@PATH="$$PATH:/usr/sbin"; \
	  command -v cc >/dev/null && command -v python3 >/dev/null && command -v mariadbd >/dev/null || \
	  { apt-get update -qq && \
	    apt-get install -y -qq --no-install-recommends gcc libc6-dev python3 mariadb-server-core; }

# Each planted defect must be found by exactly the tests that it names: see trials/mutants/.
mutants: tools
	tools/mutants.sh

# Needs a nightly toolchain, and says so where there is none. `tools/fuzz.sh 3600 documents` runs one for longer.
fuzz: tools
	tools/fuzz.sh 30

# The workspace of the fuzz targets has a lock file of its own, which must follow this one's.
locks:
	@cargo metadata --manifest-path fuzz/Cargo.toml --locked --format-version 1 >/dev/null

fmt:
	cargo fmt --all --check

clippy:
	cargo clippy --workspace --all-targets --locked --quiet -- -D warnings

docs:
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --all-features --locked --quiet

deny:
	@cargo deny --version >/dev/null 2>&1 || cargo install cargo-deny --version $(CARGO_DENY_VERSION) --locked --quiet
	cargo deny --locked check bans licenses sources

bench:
	cargo run --release --locked -- bench draws --seconds 5
