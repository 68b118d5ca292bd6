#!/usr/bin/env bash
# Prepares this checkout: `setup.sh run` for `make demo`, `setup.sh test` for `make test`, `make check` and `make bench`.
# Makes .venv from the lock, installs the project editable, and sees to the system packages. A second run is quick.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/system.sh
. scripts/system.sh

purpose=${1:-run}
case "$purpose" in
run) lock=requirements.lock ;;
test) lock=requirements-dev.lock ;;
*) echo "usage: scripts/setup.sh run|test" >&2 && exit 2 ;;
esac

# The first Python that is new enough: $PYTHON when given, else the system's own, else a versioned one beside it.
find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if command -v "$candidate" >/dev/null &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
            echo "$candidate"
            return 0
        fi
    done
    echo "Pixelferry needs Python >= 3.11; found: $(python3 --version 2>&1 || true). Install one, or name it: make demo PYTHON=/path/to/python3.12" >&2
    return 1
}

make_venv() {
    if .venv/bin/python -m pip --version >/dev/null 2>&1; then
        return 0
    fi
    local python
    python=$(find_python)
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        require_packages "Virtual environments" "$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
    fi
    rm -rf .venv
    "$python" -m venv .venv
}

# What an installation from a lock depends on: the lock, the project file, the checkout's place.
fingerprint() { { cat "$1" pyproject.toml && pwd; } | sha256sum; }

is_installed() { [ "$(cat ".venv/.installed-$1" 2>/dev/null)" = "$(fingerprint "$1")" ]; }

install_python() {
    # The development lock holds all of the other one, in the same versions.
    if is_installed requirements-dev.lock || is_installed "$lock"; then
        return 0
    fi
    echo "Installing Python packages from $lock (the first time takes a minute or two)"
    local pip=(.venv/bin/python -m pip install --quiet --disable-pip-version-check)
    "${pip[@]}" --require-hashes --requirement "$lock"
    # The build backend stands in the lock as well: nothing is fetched that the lock does not hold.
    "${pip[@]}" --no-deps --no-build-isolation --editable .
    fingerprint "$lock" >".venv/.installed-$lock"
}

install_node_modules() {
    [ -f package-lock.json ] || return 0
    if [ "$(cat node_modules/.installed 2>/dev/null)" = "$(sha256sum package-lock.json)" ]; then
        return 0
    fi
    npm ci --silent
    sha256sum package-lock.json >node_modules/.installed
}

make_venv
install_python
# Without these the broker, the relay and the test pattern still run: the line that was printed is enough.
require_packages "Rendering of USD stages" "${RENDERING_PACKAGES[@]}" || true
if [ "$purpose" = test ]; then
    command -v chromium >/dev/null || TEST_PACKAGES+=(chromium)
    command -v node >/dev/null || TEST_PACKAGES+=(nodejs)
    command -v npm >/dev/null || TEST_PACKAGES+=(npm)
    # Tests that need what is missing say so when they are skipped.
    require_packages "Tests" "${TEST_PACKAGES[@]}" || true
    install_node_modules
fi
