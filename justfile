# What people run on Dateline; `just` lists it. CONTRIBUTING.md says when to run what; docs/RELIABILITY.md and
# docs/PERFORMANCE.md have the results. A recipe is a command or two, so you can do without `just` and copy them.

# `lint`, `advisories` and `breaking` use the tools that .ci/run installs here.
tools := justfile_directory() / "target/ci"
python := "target/outside/bin/python"
export PATH := tools / "bin" + ":" + tools / "node_modules/.bin" + ":" + env("PATH")

[private]
default:
    @just --list --unsorted

# Build everything for development
[group('build')]
build *ARGS:
    cargo build --all-targets {{ ARGS }}

# Build the binary as it is released
[group('build')]
release:
    cargo build --release --locked --bin dateline

# Put `dateline` on your path
[group('build')]
install:
    cargo install --locked --path .

# Build the container image
[group('build')]
image:
    docker build -f packaging/Dockerfile -t dateline .

# Build the Debian package, in target/package
[group('build')]
deb *ARGS:
    packaging/deb {{ ARGS }}

# Build the documentation of the library; `just docs --open` shows it
[group('build')]
docs *ARGS:
    cargo doc --no-deps {{ ARGS }}

# Archive, revise and read an article, as the README does
[group('build')]
tour:
    sh examples/tour.sh

# Run the tests; `just test --test it stories` runs some of them
[group('check')]
test *ARGS:
    cargo test {{ ARGS }}

# Run the tests with cargo-nextest, each in a process of its own
[group('check')]
nextest *ARGS:
    cargo nextest run {{ ARGS }}

# Check the layers: which module may use which
[group('check')]
layers:
    cargo test --test it layers

# Check all that a change must pass
[group('check')]
check:
    .ci/run

# Run the linters, without the tests
[group('check')]
lint:
    cargo clippy --all-targets -- -D warnings
    hadolint packaging/Dockerfile
    buf lint
    buf breaking --against .ci/contract.binpb
    cargo deny check bans licenses sources
    cargo machete --skip-target-dir

# Check each of cargo's features by itself
[group('check')]
features:
    for feature in cli client archive ingest; do \
        cargo clippy --lib --no-default-features --features "$feature" -- -D warnings || exit; \
    done

# Test the clients in Python and Node against the debug build; `just clients python` tests one of them
[group('check')]
clients *CLIENT:
    cargo build --bin dateline
    clients/test {{ CLIENT }}

# Format the code
[group('check')]
fmt:
    cargo fmt

# Look for known vulnerabilities in the dependencies; needs GitHub
[group('check')]
advisories:
    cargo deny check advisories

# Add what is new in the contract to the image that later changes are compared with
[group('check')]
contract:
    buf breaking --against .ci/contract.binpb
    buf build --exclude-source-info --path proto/dateline --output .ci/contract.binpb

# Write the archive of the current format again, while that format is unreleased
[group('fixtures')]
fixture:
    cargo test --test it make_the_fixture -- --ignored

# Write again what is read of tests/fixtures/pages; then look through the diff
[group('fixtures')]
pages:
    UPDATE_PAGES=1 cargo test --test it pages

# Fuzz one target
[group('long')]
fuzz TARGET SECONDS='60':
    .ci/fuzz {{ SECONDS }} {{ TARGET }}

# Fuzz every target
[group('long')]
fuzz-all SECONDS='60':
    .ci/fuzz {{ SECONDS }}

# Compare the archive with a plain model on random operations
[group('long')]
model CASES='5000':
    DATELINE_PROPTEST_CASES={{ CASES }} cargo test --release --test it model

# Damage archives at random; each damage must be reported or harmless
[group('long')]
damage TRIALS='5000':
    TMPDIR=/dev/shm DATELINE_DAMAGE_TRIALS={{ TRIALS }} cargo test --release --test it damage::long -- --ignored --nocapture

# Kill a process that writes, again and again
[group('long')]
kills KILLS='1000':
    DATELINE_CRASH_KILLS={{ KILLS }} cargo test --release --test crash kills::long -- --ignored --nocapture

# Cut the power of a simulated disk
[group('long')]
power TRIALS='1000':
    DATELINE_POWER_TRIALS={{ TRIALS }} cargo test --release --test crash power::rounds::long -- --exact --ignored --nocapture

# Cut the power within commits of many megabytes
[group('long')]
power-large TRIALS='300':
    DATELINE_POWER_TRIALS={{ TRIALS }} cargo test --release --test crash power::rounds::long_vast -- --ignored --nocapture

# Crash torture: all kills and power cuts
[group('long')]
torture: kills power power-large

# Check every answer of a server that is killed under load, against its log and a restored backup
[group('long')]
consistency *ARGS: release _outside
    {{ python }} tests/outside/consistency.py --binary target/release/dateline --proto proto --dir "$PWD/target/consistency-$(date +%s)" {{ ARGS }}

# Attack a server; D4 needs root, `just hostile --list` names the checks
[group('long')]
hostile *ARGS: release _outside
    {{ python }} tests/outside/hostile.py --binary target/release/dateline --proto proto --dir "$PWD/target/hostile-$(date +%s)" {{ ARGS }}

# Attack the web pages, Connect and webhooks; `just hostile-http --list` names the checks
[group('long')]
hostile-http *ARGS: release _outside
    {{ python }} tests/outside/hostile_http.py --binary target/release/dateline --dir "$PWD/target/hostile-http-$(date +%s)" {{ ARGS }}

# Every random test at length, one after the other; this takes hours
[group('long')]
soak: model torture damage (consistency '--kills' '300')

# Try the Debian package under systemd, in a system made for it; needs root and debootstrap
[group('long')]
try-deb *SUITE:
    packaging/try-deb {{ SUITE }}

# Try the upgrade from one version to another, and the way back, with the binaries of both
[group('long')]
try-upgrade OLD NEW:
    packaging/try-upgrade '{{ OLD }}' '{{ NEW }}'

[private]
_outside:
    test -x {{ python }} || python3 -m venv target/outside
    {{ python }} -m pip install --quiet grpcio grpcio-tools grpcio-status grpcio-health-checking grpcio-reflection \
        googleapis-common-protos h2 hpack

# Measure calls; `just bench-service read --seconds 5 --rounds 3` measures a part
[group('bench')]
bench-service *ARGS:
    cargo bench --bench service -- {{ ARGS }}

# Measure the change feed
[group('bench')]
bench-feed *ARGS:
    cargo bench --bench feed -- {{ ARGS }}

# Measure an archive as it grows to N revisions
[group('bench')]
bench-growth N='100000':
    cargo bench --bench growth -- {{ N }}

# Measure an import of the history in FILE, JSON Lines in zstd
[group('bench')]
bench-import FILE:
    cargo bench --bench import -- '{{ FILE }}'

# Measure how well articles are found in the test pages of DIR
[group('bench')]
bench-extraction DIR:
    cargo run --release --manifest-path benches/extraction/Cargo.toml -- '{{ DIR }}'

# Measure durable writes and newest reads of Dateline and of other stores in turns; benches/peers/peers.sh starts them.
[group('bench')]
bench-peers +TARGETS:
    cargo run --release --manifest-path benches/peers/Cargo.toml -- {{ TARGETS }}

# Measure the decompression of the longest message
[group('bench')]
bench-unpack:
    cargo test --release --lib unpack -- --ignored --nocapture
