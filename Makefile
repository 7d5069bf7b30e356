# What can be done with this repository. `make` alone lists it.

CARGO ?= cargo
DOCKER ?= docker

# The file that people take: the tests run it, not a build of their own (tests/harness/mod.rs).
BINARY := $(abspath $(or $(CARGO_TARGET_DIR),target))/release/sexton

NEXTEST := $(shell $(CARGO) nextest --version >/dev/null 2>&1 && echo yes)
RUN_TESTS := $(if $(NEXTEST),$(CARGO) nextest run,$(CARGO) test)

.DEFAULT_GOAL := help
.PHONY: help build probe test prove integration lint demo compare

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## Build sexton: one static file, target/release/sexton
	$(CARGO) build --release

# The tests' own command, which they look for beside themselves (examples/probe). cargo builds it
# along with the tests only when no --test says which of them.
probe:
	$(CARGO) build --example probe

# The tests themselves are built in the dev profile: with the release profile's link-time
# optimisation every one of them takes as long to link as sexton does.
test: build probe ## Run all tests that need no container engine, against the release build
	TEST_BINARY='$(BINARY)' $(RUN_TESTS) --no-fail-fast

# The short versions of these are in `make test`.
prove: build probe ## Explore the state machine further, and send 2,000 storms of signals (two minutes)
	EXPLORE_UNITS=10 $(CARGO) test --lib explored -- --nocapture
	TEST_BINARY='$(BINARY)' STORMS=500 $(CARGO) test --test storm

integration: build probe ## Run the tests that need a container engine (Docker)
	@timeout 10 $(DOCKER) version >/dev/null 2>&1 || { \
	  echo 'make integration: no container engine answers ($(DOCKER) version fails).' >&2; \
	  echo 'On Debian, as root: apt-get install docker.io; then, unless it runs already: dockerd &' >&2; \
	  exit 1; }
	TEST_BINARY='$(BINARY)' $(RUN_TESTS) --no-fail-fast --test docker

# The documentation is for those who read the source, so it may link to what is private.
lint: ## Check the format, clippy and the documentation; a warning is an error
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	RUSTDOCFLAGS='-Dwarnings -Arustdoc::private-intra-doc-links' $(CARGO) doc --no-deps --document-private-items

demo: build ## Show a server in a container that loses no request while it is stopped
	integration/demo/run '$(BINARY)'

compare: build probe ## Compare sexton with tini, dumb-init and catatonit, where they are installed
	integration/compare '$(BINARY)' '$(abspath $(dir $(BINARY))../debug/examples/probe)'
