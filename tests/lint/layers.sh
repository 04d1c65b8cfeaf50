#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Each line of the table is a folder and the folders whose headers it may include; and the outside
# libraries that are confined to one place.
cd "$1" && while read -r from may; do
    [ -d "$from" ] || continue
    for to in $(grep -rhoE '^#include "[a-z]+/' "$from" --include='*.[ch]' | sed 's/.*"//; s,/,,' | sort -u); do
        case " $from $may " in *" $to "*) ;; *) echo "$from may not include $to/"; exit 1 ;; esac
    done
done <<'TABLE'
base
topology base
scoring topology base
kube scoring topology base
net base
cluster scoring kube topology base
decide cluster scoring kube topology base
extender decide cluster scoring kube topology net base
admission decide cluster scoring kube topology net base
operator decide cluster scoring kube topology net base
console decide cluster scoring kube topology net base
agent kube scoring topology net base
TABLE
[ $? -eq 0 ] || exit 1

confined() { # PATTERN PLACE...
    pattern=$1; shift
    found=$(grep -rlE "^#include <($pattern)" --include='*.[ch]' \
        base topology scoring kube net cluster decide extender admission operator console agent cli 2>/dev/null)
    for file in $found; do
        ok=no
        for place in "$@"; do case $file in "$place"*) ok=yes ;; esac; done
        [ $ok = yes ] || { echo "$file may not include <$pattern...>"; exit 1; }
    done
}
confined 'hwloc|numa' topology/discover
confined 'evhtp' net/
confined 'event2' net/ cluster/ kube/ agent/ cli/
confined 'jansson|yaml' kube/
confined 'openssl' net/
confined 'curl' kube/ agent/ operator/client.c # which stands alone
if grep -rnE '\b(malloc|calloc|realloc|free|fopen|open|time|clock_gettime|getenv|printf|log_line)\(' scoring --include='*.[ch]'; then
    echo "scoring/ is pure: no allocation, files, clocks, output"; exit 1
fi
echo "layers: every arrow points down"
