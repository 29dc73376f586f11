# `just` lists the recipes. Each one is a script or a cargo command that also works without just.

# List the recipes.
default:
    @just --list

# Build and start the gateway; arguments go to `vdm server start`.
start *arguments:
    cargo run --release --locked -- server start {{ arguments }}

# Run every check that CI runs, or only some: tools clients format lint test faults chaos docs deny.
check *steps:
    scripts/check {{ steps }}

# Run the tests whose name contains a word.
test word:
    cargo test --locked --workspace {{ word }}

# Format the code.
format:
    cargo fmt --all

# Run clippy as CI does.
lint:
    scripts/check lint

# Rewrite the snapshots of the fixtures. Read the differences before you commit them.
snapshots:
    UPDATE_SNAPSHOTS=1 cargo test --locked --package vandamme-protocol --test corpus
    git diff --stat -- tests protocol/tests

# Fuzz every target for a minute, or one target for some seconds.
fuzz *arguments:
    scripts/fuzz {{ arguments }}

# Build vdm with profile-guided optimisation: target/release-pgo/vdm.
release *arguments:
    scripts/release {{ arguments }}

# Compare the gateway with nginx; takes five minutes on a quiet machine.
bench *arguments:
    scripts/bench {{ arguments }}

# Kill, flood, reload and restart the gateway under load, and check every reply.
chaos *arguments:
    scripts/chaos {{ arguments }}

# Measure whether memory grows under constant load; takes ten minutes.
soak *arguments:
    scripts/soak {{ arguments }}

# Record a fixture from a live API; the request is read from stdin.
record provider name:
    scripts/record {{ provider }} {{name}}

# Build vdm and install it with the links claude.vdm and codex.vdm.
install directory="~/.local/bin":
    scripts/install {{ directory }}

# Build the container image.
image:
    docker build -t vdm .
