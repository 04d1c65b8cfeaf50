#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs every block marked "sh" in the documentation, from the top of the checkout, with what is
# built in build/. An unmarked block right after one is what it prints, and is compared. A block that
# cannot be run here is in docs.skip, with the reason; a line there that fits no block is an error,
# so that the list does not grow old. Links to files must lead somewhere.
set -euo pipefail
cd "$(dirname "$0")/../.."

skip_list=tests/lint/docs.skip
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# blocks FILE: its blocks as $scratch/block.N, what they print as $scratch/print.N; the indentation
# of the fence is taken off.
blocks() {
    rm -f "$scratch"/block.* "$scratch"/print.*
    awk -v dir="$scratch/" '
        !inside && /^ *```sh *$/ { inside = 1; n++; indent = index($0, "`") - 1
            name = dir sprintf("block.%03d", n); printf "" > name; next }
        !inside && after && /^ *``` *$/ { inside = 1; after = 0; indent = index($0, "`") - 1
            name = dir sprintf("print.%03d", n); printf "" > name; next }
        !inside && /^ *```/ { inside = 2; name = "/dev/null"; after = 0; next }
        inside && /^ *```/ { after = name ~ /block/; inside = 0; close(name); next }
        inside { print substr($0, indent + 1) > name; next }
        NF { after = 0 }' "$1"
}

# The reason why the block of FILE that begins with LINE is not run; empty when it is.
reason() {
    awk -F ' \\| ' -v file="$1" -v line="$2" '$1 == file && $2 == line { print $3; exit }' \
        "$skip_list"
}

# links FILE: fails when a relative link of it leads nowhere.
links() {
    local link
    sed -nE 's/\]\(([^)# ]+)/\n@\1\n/gp' "$1" | sed -n 's/^@//p' | while read -r link; do
        case $link in *:*) continue ;; esac
        [ -e "$(dirname "$1")/$link" ] || {
            echo "$1: the link $link leads nowhere"
            exit 1
        }
    done
}

ran=0
skipped=0
: >"$scratch/used"
for file in README.md docs/*.md docs/reference/*.md deploy/*/README.md; do
    [ -f "$file" ] || continue
    links "$file"
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
        if ! timeout 120 bash -euo pipefail "$block" >"$scratch/out" 2>"$scratch/err" </dev/null; then
            echo "$file: this block failed:"
            cat "$block"
            echo '--- it said:'
            tail -n 40 "$scratch/out" "$scratch/err"
            exit 1
        fi
        shown=${block/block./print.}
        if [ -f "$shown" ] && ! diff -u "$shown" "$scratch/out"; then
            echo "$file: this block prints something else than is shown (-):"
            cat "$block"
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
