#!/usr/bin/env bash
# Makes the secrets of compose.yaml: deploy/.env, or the file named, which nobody else may read. Prints the API key once.
set -euo pipefail
file=${1:-$(dirname "$0")/.env}
if [ -e "$file" ]; then
    echo "$file is there already: what it holds is in use. Remove it first to have new secrets." >&2
    exit 1
fi
secret() { head --bytes 32 /dev/urandom | base64 | tr --delete '\n=' | tr '+/' '-_'; }
digest() { printf %s "$1" | sha256sum | cut --delimiter ' ' --fields 1; }

umask 077
api_key=$(secret)
node_token=$(secret)
cat >"$file" <<EOF
REDIS_PASSWORD=$(secret)
ADMISSION_SECRET=$(secret)
API_KEY_SHA256=$(digest "$api_key")
NODE_TOKEN=$node_token
NODE_TOKEN_SHA256=$(digest "$node_token")
EOF
echo "API key, which is stored nowhere: $api_key"
