# What can be done with this repository. `make` alone lists it.

CARGO ?= cargo

# The file that people take: the tests run it, not a build of their own (tests/harness/mod.rs).
BINARY := $(abspath $(or $(CARGO_TARGET_DIR),$(CARGO_BUILD_TARGET_DIR),target))/$(addsuffix /,$(CARGO_BUILD_TARGET))release/sexton

# The machines that release files are built for, by Docker's names. `make dist` builds this machine's; DIST names
# others, or all.
MACHINES := $(shell sed '/^\#/d; s/ .*//' packaging/machines)
HERE := $(patsubst x86_64,amd64,$(patsubst aarch64,arm64,$(shell uname -m)))
DIST ?= $(HERE)
DIST_MACHINES := $(if $(filter all,$(DIST)),$(MACHINES),$(DIST))
# This machine's file, where it is there.
DIST_BINARY := $(wildcard dist/sexton-linux-$(HERE))

# The benchmark is a package of its own.
BENCH_TARGET := $(abspath $(dir $(BINARY))../bench)
BENCH_PACKAGE := --manifest-path benches/Cargo.toml --target-dir '$(BENCH_TARGET)'

NEXTEST := $(shell $(CARGO) nextest --version >/dev/null 2>&1 && echo yes)
RUN_TESTS := $(if $(NEXTEST),$(CARGO) nextest run,$(CARGO) test)

.DEFAULT_GOAL := help
.PHONY: $(shell awk -F: '/^[a-z0-9-]+:/ { print $$1 }' $(MAKEFILE_LIST)) $(MACHINES:%=dist-%) $(MACHINES:%=test-%)

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## Build sexton: one static file, target/release/sexton
	$(CARGO) build --release

dist: ## Build the release file of this machine, dist/sexton-linux-amd64 or -arm64; DIST=all builds those of eight
	packaging/dist $(if $(filter all,$(DIST)),--all-that-can-be) $(DIST_MACHINES)
	cd dist && sha256sum $(DIST_MACHINES:%=sexton-linux-%) >SHA256SUMS && cat SHA256SUMS

$(MACHINES:%=dist-%): dist-%:
	packaging/dist $*

# It is dated by the commit, so that a commit has one page.
manual: ## Write the man page and the completions for bash, zsh and fish to target/manual
	MANUAL_DATE="$$(git log -1 --format=%cs)" $(CARGO) run --quiet --example manual -- target/manual

# As everybody's: PREFIX is where the files are at last, DESTDIR a root to put them into. The names of the folders
# are those that the shells look into.
PREFIX ?= /usr/local
SHARE = $(DESTDIR)$(PREFIX)/share
install: build manual ## Install sexton, its man page and the completions below PREFIX (/usr/local), in DESTDIR
	install -D -m 755 '$(BINARY)' '$(DESTDIR)$(PREFIX)/bin/sexton'
	install -D -m 644 target/manual/sexton.1 '$(SHARE)/man/man1/sexton.1'
	install -D -m 644 target/manual/bash/sexton '$(SHARE)/bash-completion/completions/sexton'
	install -D -m 644 target/manual/zsh/_sexton '$(SHARE)/zsh/site-functions/_sexton'
	install -D -m 644 target/manual/fish/sexton.fish '$(SHARE)/fish/vendor_completions.d/sexton.fish'
	install -D -m 644 -t '$(SHARE)/doc/sexton' README.md LICENSE CHANGELOG.md

release: manual ## Make all that a release has, in dist: files, archives, packages, an image, SBOMs, SHA256SUMS
	@integration/need release
	$(MAKE) dist DIST=all
	packaging/release $(VERSION)

packages: release ## Install, run and remove what `make release` makes, and build images with it (root, Docker)
	@integration/need packages
	TEST_BINARY='$(BINARY)' $(CARGO) test --no-fail-fast --test image --test packages

# The tests' own command and the demo, which they look for beside themselves (in examples). cargo builds it
# along with the tests only when no --test says which of them.
probe:
	$(CARGO) build --example probe --example demo

# The tests themselves are built in the dev profile: with the release profile's link-time
# optimisation every one of them takes as long to link as sexton does.
test: build probe ## Run all tests that are not in make integration, against the release build; TEST_ALL=1 leaves none out
	$(if $(TEST_ALL),@integration/need test)
	began=$$(date +%s); TEST_BINARY='$(BINARY)' $(RUN_TESTS) --no-fail-fast && $(CARGO) test --lib --bin sizes $(BENCH_PACKAGE); \
	  status=$$?; TESTS_BEGAN=$$began $(CARGO) test --quiet --test yet_to_run; exit $$status

# As `nohup`, the `&` of a script and some CI runners start a program, and worse: every signal is ignored
# (but SIGCHLD: nobody could wait for a child) and blocked. What runs the tests is started as usual, because
# it has handlers of its own, which would undo it.
HOST := $(shell rustc -vV | sed -n 's/^host: //p' | tr a-z- A-Z_)
AS_A_BACKGROUND_JOB := CARGO_TARGET_$(HOST)_RUNNER='env --block-signal --ignore-signal --default-signal=CHLD'

# Under the name that people give it in an image.
test-dist: dist probe ## Run the same tests against the release file of this machine, with all signals ignored and blocked
	@mkdir -p target/test/dist
	cp dist/sexton-linux-$(HERE) target/test/dist/sexton
	$(AS_A_BACKGROUND_JOB) TEST_BINARY='$(abspath target/test/dist/sexton)' $(RUN_TESTS) --no-fail-fast

machines: ## Look what each release file is and runs on, beside docs/machines.md; TABLE=--write writes it there
	@integration/need machines
	packaging/about $(or $(TABLE),--check)

# What they run, and what they leave out: integration/foreign.
$(MACHINES:%=test-%): test-%: dist-% probe
	@integration/need test-machines
	integration/foreign $*

test-machines: probe ## Run the core tests against the release files of all other machines, under qemu-user (ten minutes)
	@integration/need test-machines
	packaging/dist $(filter-out $(HERE),$(MACHINES))
	integration/foreign $(filter-out $(HERE),$(MACHINES))

# The short versions of these are in `make test`.
prove: build probe ## Explore the state machine further, and send 2,000 storms of signals (two minutes)
	EXPLORE_UNITS=10 $(CARGO) test --lib explored -- --nocapture
	TEST_BINARY='$(BINARY)' STORMS=500 $(CARGO) test --test storm

SHARD ?= 0/24
BASE ?= HEAD~1

mutants: ## Change the source in every way that cargo-mutants knows: SHARD=3/24 is one share of it
	@integration/need mutants
	CARGO='$(CARGO)' .ci/mutants all $(SHARD)

mutants-diff: ## The same for the lines that differ from BASE (HEAD~1), for 15 minutes at most (MUTANTS_MINUTES)
	@integration/need mutants-diff
	CARGO='$(CARGO)' .ci/mutants diff $(BASE)

FUZZ_TARGETS := command_line durations signal_names executables kernel_files check
FUZZ_SECONDS ?= 600

# The sanitizer is there in a stable toolchain too, but wants to be asked for by name. Leaks are counted
# by the targets themselves (fuzz/src/lib.rs): the vectors for execve(2) are none.
fuzz: ## Feed every parser with hostile input, each for FUZZ_SECONDS (10 minutes)
	@integration/need fuzz
	cd fuzz && for target in $(FUZZ_TARGETS); do \
	  mkdir -p corpus/$$target && \
	  ASAN_OPTIONS=detect_leaks=0 RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run $$target corpus/$$target seeds/$$target -- \
	    -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=1024 -max_len=2048 || exit 1; \
	done

faults: build dist probe ## Let every system call fail with every errno, and write docs/faults.md (ten minutes)
	for file in '$(BINARY)' '$(abspath dist/sexton-linux-$(HERE))'; do \
	  TEST_BINARY=$$file WRITE_FAULTS=1 $(CARGO) test --test faults -- --nocapture || exit 1; \
	done

soak: build probe ## Keep a storm around sexton for an hour (SOAK_SECONDS), and look that nothing grows or is lost
	TEST_BINARY='$(BINARY)' SOAK_SECONDS=$${SOAK_SECONDS:-3600} $(CARGO) test --test soak -- --nocapture

integration: build probe ## Run the tests that need container engines and other programs; ENGINES="gvisor crun" runs some
	$(CARGO) build --example manual
	TEST_BINARY='$(BINARY)' CARGO='$(CARGO)' integration/run $(ENGINES)

# The files that people take: the plain build, and for the other machines the release.
KERNELS := $(RUN_TESTS) --no-fail-fast --test kernels -- --nocapture
KERNELS_OF := arm64 riscv64 ppc64le s390x arm-v7

kernels: build ## Boot Debian's kernels with sexton as /sbin/init in QEMU, on x86_64 and five other machines
	@integration/need kernels
	packaging/dist $(KERNELS_OF)
	integration/kernels/guest amd64 '$(BINARY)'
	for machine in $(KERNELS_OF); do integration/kernels/guest $$machine dist/sexton-linux-$$machine || exit 1; done
	$(KERNELS)

kernels-quick: build ## The same for one kernel, on x86_64
	@integration/need kernels-quick
	integration/kernels/guest amd64 '$(BINARY)'
	$(KERNELS) --skip bullseye --skip trixie --skip sid $(foreach name,aarch64 riscv64 ppc64le s390x arm_v7,--skip _on_$(name))

DENY := $(CARGO) deny

# "All targets" leaves out the tests that need an engine (`test = false`).
# The documentation is for those who read the source, so it may link to what is private.
lint: ## Check the format, clippy, the documentation and the dependencies; a warning is an error
	@integration/need lint
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	$(CARGO) clippy --test '*' -- -D warnings
	$(CARGO) fmt --manifest-path benches/Cargo.toml --check
	$(CARGO) clippy $(BENCH_PACKAGE) --lib --bins --tests -- -D warnings
	RUSTDOCFLAGS='-Dwarnings -Arustdoc::private-intra-doc-links' $(CARGO) doc --no-deps --document-private-items
	$(DENY) check licenses bans sources
	.ci/mutants check
	@echo 'make lint: known vulnerabilities were NOT looked for: make audit does that, with the network' >&2

audit: ## Look for known vulnerabilities in the dependencies; fetches the database of them
	$(DENY) check advisories

reproducible: build dist ## Build this commit once more, in another folder, plain and for release (DIST): the same bytes?
	@integration/need reproducible
	integration/reproducible '$(CARGO) build --release --locked && $(MAKE) dist DIST="$(DIST)"' \
	  target/release/sexton $(DIST_MACHINES:%=dist/sexton-linux-%)

demo: build ## Draw a graceful shutdown as it happens: target/demo.svg
	TEST_BINARY='$(BINARY)' $(CARGO) run --quiet --example demo -- $(DEMO)

fresh: ## Type the README's two commands on a bare Debian with Rust, as an ordinary user and as root (root)
	integration/fresh $(FRESH)

demo-picture: ## The same for the README: docs/demo.svg
	@$(MAKE) demo DEMO='--svg docs/demo.svg'

compare: build probe ## Compare sexton with its peers (root); COMPARE=--write writes the tables of the pages, --check looks
	@integration/need compare
	integration/compare '$(BINARY)' '$(abspath $(dir $(BINARY))../debug/examples/probe)' $(COMPARE)

# Quick in some minutes, with FULL=1 in a quarter of an hour; PUBLISH=1 writes README.md and docs/. AGAIN=1 measures
# nothing, and writes the pages once more of what docs/bench.json has.
BENCH = $(if $(AGAIN),--again) $(if $(FULL),--full) $(if $(PUBLISH),--publish)

bench: build ## Measure sexton beside its peers (root); FULL=1 takes longer, PUBLISH=1 writes the pages
	@integration/need bench
	$(CARGO) build --release $(BENCH_PACKAGE)
	@$(if $(DIST_BINARY),,echo 'Without the build on musl, which the limits are for: make dist makes it.' >&2)
	'$(BENCH_TARGET)/release/bench' $(BENCH) --out '$(BENCH_TARGET)' \
	  $(if $(DIST_BINARY),'sexton=$(DIST_BINARY)' 'plain build=$(BINARY)','sexton=$(BINARY)')

# sexton with its symbols, and what looks into it. It has no address of its own (.cargo/config.toml), so that the
# relocations tell which words of its data are addresses of functions.
SYMBOLS := target/symbols/release/sexton
symbols:
	@integration/need panics
	RUSTFLAGS='-C target-feature=+crt-static' $(CARGO) rustc --release --bin sexton --target-dir target/symbols -- -C strip=none
	$(CARGO) build --release $(BENCH_PACKAGE)

panics: symbols ## Look in the machine code for what may panic while the command runs, and how large it is, beside docs/
	'$(BENCH_TARGET)/release/panics' $(SYMBOLS) docs/panics.md supervisor::stay
	'$(BENCH_TARGET)/release/sizes' $(SYMBOLS) docs/design.md

sizes: symbols ## Write into docs/design.md how much machine code each crate has
	'$(BENCH_TARGET)/release/sizes' $(SYMBOLS) docs/design.md --write

hot: ## Find out what every start of the release file runs, and write .cargo/hot.ld, by which it lies together (root)
	CARGO_PROFILE_RELEASE_STRIP=none packaging/cargo --target-dir target/symbols-dist --target $(shell uname -m)-unknown-linux-musl
	$(CARGO) build --release $(BENCH_PACKAGE)
	'$(BENCH_TARGET)/release/hot' .cargo/hot.ld target/symbols-dist/$(shell uname -m)-unknown-linux-musl/release/sexton

guard: build ## Check what does not depend on the machine's speed against benches/guard.txt (root)
	@integration/need guard
	$(CARGO) build --release $(BENCH_PACKAGE)
	'$(BENCH_TARGET)/release/guard' $(GUARD) benches/guard.txt 'plain=$(BINARY)' $(if $(DIST_BINARY),'dist=$(DIST_BINARY)')
	@$(if $(DIST_BINARY),,echo 'make guard: the build on musl is not there: make dist makes it.' >&2; exit 1)
