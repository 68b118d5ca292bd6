#!/usr/bin/env bash
# The steps of the container image: run as root in a bare Debian root, with this source tree beside the script.
# Leaves /opt/pixelferry (a virtual environment with `pixelferry` in it), the rendering libraries and the user pixelferry.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/system.sh
. scripts/system.sh

prefix=/opt/pixelferry
require_packages "Image" ca-certificates python3 python3-venv "${RENDERING_PACKAGES[@]}"
rm -rf /var/lib/apt/lists/*

python3 -m venv "$prefix"
pip=("$prefix/bin/pip" install --quiet --no-cache-dir --disable-pip-version-check)
"${pip[@]}" --require-hashes --requirement requirements.lock
# Built from a copy: the source tree may be read-only, and nothing is to be left in it.
copy=$(mktemp --directory)
cp --recursive pyproject.toml README.md LICENSE broker signaling streamer web "$copy"
"${pip[@]}" --no-deps --no-build-isolation "$copy"
rm -rf "$copy"

id pixelferry >/dev/null 2>&1 || useradd --system --create-home --shell /usr/sbin/nologin pixelferry
ln --symbolic --force "$prefix/bin/pixelferry" /usr/local/bin/pixelferry
pixelferry --help >/dev/null
