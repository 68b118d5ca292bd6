#!/usr/bin/env bash
# Fetches Swagger UI's files into broker/api/swagger, in the version and with the digest that stand here.
# Run by who raises the version; the files are kept in the tree, so that nobody else needs a network for them.
set -euo pipefail
cd "$(dirname "$0")/.."

version=5.35.0
integrity=sha512-U06rpMtW9V3XPGOBeamTUSr0Z09jMX4IJuANpE/EZbAhw0G8CgwrzU4YmXkn/h0wCDNsXdGarTNNHC3sU8yVUQ==
target=broker/api/swagger

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
archive=$folder/$(npm pack --silent --pack-destination "$folder" "swagger-ui-dist@$version")
found=sha512-$(openssl dgst -sha512 -binary "$archive" | base64 --wrap=0)
if [ "$found" != "$integrity" ]; then
    echo "swagger-ui-dist@$version has another digest: $found" >&2
    exit 1
fi
tar --extract --gzip --file "$archive" --directory "$folder"
for file in swagger-ui.css swagger-ui-bundle.js swagger-ui-bundle.js.LICENSE.txt favicon-32x32.png LICENSE NOTICE; do
    install --mode=644 "$folder/package/$file" "$target/$file"
done
# Source maps are not kept, so nothing points to them.
sed --in-place '/^\(\/\/\|\/\*\)# sourceMappingURL=/d' "$target/swagger-ui-bundle.js" "$target/swagger-ui.css"
echo "swagger-ui-dist@$version" >"$target/VERSION"
