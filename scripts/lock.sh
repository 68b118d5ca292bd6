#!/usr/bin/env bash
# Writes the two locks anew: requirements.lock (what runs) and requirements-dev.lock (that, and what tests and checks).
# Both hold exact versions with hashes for every platform and Python from 3.11, and no registry's address.
set -euo pipefail
cd "$(dirname "$0")/.."

compile() {
    local lock=$1
    shift
    .venv/bin/uv pip compile pyproject.toml "$@" --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --no-header --quiet --upgrade --output-file "$lock"
}

compile requirements.lock --extra usd --extra build
compile requirements-dev.lock --all-extras --constraint requirements.lock
if grep --quiet '://' requirements.lock requirements-dev.lock; then
    echo "a lock records an address: $(grep --max-count 1 '://' requirements.lock requirements-dev.lock)" >&2
    exit 1
fi
