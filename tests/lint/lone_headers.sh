#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A header compiles alone and has a guard named after its path.
cd "$1" || exit 1
shift
failed=0
for header in $(find base topology scoring kube net cluster decide extender admission operator console agent cli tests/support -name '*.h' 2>/dev/null); do
    guard=$(echo "$header" | tr 'a-z/.-' 'A-Z___')
    grep -q "^#ifndef $guard\$" "$header" || { echo "$header: no guard $guard"; failed=1; }
    "$@" -std=c17 -D_GNU_SOURCE -Wall -Wextra -Werror -I. -fsyntax-only -x c "$header" || failed=1
done
exit $failed
