#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# No hand formatting, no arguing: clang-format 14 decides (other versions differ in details).
cd "$1" || exit 1
case $("$2" --version) in
    *"version 14."*) ;;
    *) echo "skipped: clang-format 14 is the pinned version, this is $("$2" --version)"; exit 77 ;;
esac
find base topology scoring kube net cluster decide extender admission operator console agent cli tests bench \
    -name '*.[ch]' -print0 2>/dev/null | xargs -0 "$2" --dry-run --Werror
