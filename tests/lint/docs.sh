#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs every block marked "sh" in the documentation, from the top of the checkout, with what is
# built in build/. A block that cannot be run here is in docs.skip, with the reason; a line there
# that fits no block is an error, so that the list does not grow old.
set -euo pipefail
cd "$(dirname "$0")/../.."

skip_list=tests/lint/docs.skip
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# blocks FILE: its blocks as numbered files in $scratch, indentation of the fence taken off.
blocks() {
    rm -f "$scratch"/block.*
    awk -v out="$scratch/block." '
        !inside && /^ *```sh *$/ { inside = 1; n++; indent = index($0, "`") - 1
            name = out sprintf("%03d", n); printf "" > name; next }
        inside && /^ *```/ { inside = 0; close(name); next }
        inside { print substr($0, indent + 1) > name }' "$1"
}

# The reason why the block of FILE that begins with LINE is not run; empty when it is.
reason() {
    awk -F ' \\| ' -v file="$1" -v line="$2" '$1 == file && $2 == line { print $3; exit }' \
        "$skip_list"
}

ran=0
skipped=0
: >"$scratch/used"
for file in README.md docs/*.md docs/reference/*.md deploy/*/README.md; do
    [ -f "$file" ] || continue
    blocks "$file"
    for block in "$scratch"/block.*; do
        [ -f "$block" ] || continue
        first=$(head -n 1 "$block")
        why=$(reason "$file" "$first")
        if [ -n "$why" ]; then
            skipped=$((skipped + 1))
            echo "$file | $first | $why" >>"$scratch/used"
            continue
        fi
        if ! timeout 120 bash -euo pipefail "$block" >"$scratch/out" 2>&1 </dev/null; then
            echo "$file: this block failed:"
            cat "$block"
            echo '--- it said:'
            tail -n 40 "$scratch/out"
            exit 1
        fi
        ran=$((ran + 1))
    done
done
if grep -v '^#' "$skip_list" | grep -vxFf "$scratch/used"; then
    echo "$skip_list: the lines above fit no block"
    exit 1
fi
echo "$ran blocks ran, $skipped are skipped with a reason"
