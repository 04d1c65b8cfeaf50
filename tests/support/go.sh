# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# What the Go programs of tests/ share: is Go there, its modules, and a tree of k8s.io/kubernetes
# in which four packages have a file of ours more (tests/kubelet/_added). Source it with
#
#   top    the checkout
#   cache  where the tree and the programs are kept (default: $top/.cache/go)
#   work   a folder of this run; whoever sources this removes it
#
# and with the functions say, skip (ends with 0) and fail (ends with 1).

cache=${cache:-$top/.cache/go}
kubernetes_version=v1.36.3
child=

# clean_up_at_exit: $work goes, and what is running in $child.
# shellcheck disable=SC2317 # the traps call it
clean_up() {
    trap - EXIT INT TERM HUP
    [ -z "$child" ] || { kill -TERM "-$child"; wait "$child"; } 2>/dev/null
    rm -rf "$work"
}
clean_up_at_exit() {
    trap clean_up EXIT
    trap 'clean_up; exit 130' INT
    trap 'clean_up; exit 143' TERM
    trap 'clean_up; exit 129' HUP
}

# go_is_there: skips where Go is missing or too old.
go_is_there() {
    command -v go >/dev/null 2>&1 || skip "go is not installed (1.26 or newer is needed)"
    # No other toolchain is fetched behind the user's back.
    export GOTOOLCHAIN=local GOFLAGS="${GOFLAGS:-} -buildvcs=false"
    have=$(cd / && go env GOVERSION | sed 's/^go//; s/[^0-9.].*//')
    case $have in
        1.2[6-9]* | 1.[3-9][0-9]* | [2-9].* | [1-9][0-9]*.*) ;;
        *) skip "go $have is too old (1.26 or newer is needed)" ;;
    esac
    mkdir -p "$cache" || exit 1
}

# with_progress WHAT COMMAND...: in a process group of its own, with a sign of life now and then.
with_progress() {
    what=$1; shift
    began=$(date +%s)
    setsid "$@" >"$work/output" 2>&1 &
    child=$!
    ticks=0
    while kill -0 "$child" 2>/dev/null; do
        sleep 0.2
        ticks=$((ticks + 1))
        [ $((ticks % 100)) -ne 0 ] || say "$what: $(($(date +%s) - began)) s so far"
    done
    wait "$child"
    status=$?
    child=
    return $status
}

# go_modules: fetches them, and makes the tree and $cache/go.mod, which uses it.
go_modules() {
    if ! with_progress "fetching Go modules (0.7 GB, the first time only)" go mod download -C "$top/tests"; then
        cat "$work/output"
        grep -qE 'checksum mismatch|SECURITY ERROR' "$work/output" && fail "the modules are not those of go.sum"
        skip "the Go modules cannot be had"
    fi
    upstream=$(go list -C "$top/tests" -m -f '{{.Dir}}' k8s.io/kubernetes) || fail "k8s.io/kubernetes is not where Go keeps modules"
    stamp="$kubernetes_version $(cat "$top"/tests/kubelet/_added/*/*.go | cksum)"
    tree=$cache/kubernetes
    if [ "$(cat "$tree.stamp" 2>/dev/null)" != "$stamp" ]; then
        rm -rf "$tree" "$tree.stamp"
        mkdir "$tree" || exit 1
        (cd "$upstream" && find go.mod cmd pkg plugin third_party -name testdata -prune -o -type f ! -name '*_test.go' -print |
            tar -cf - -T -) | tar -xf - -C "$tree" --no-same-permissions --mode=u+w || fail "copying k8s.io/kubernetes"
        cp -R "$top"/tests/kubelet/_added/. "$tree/pkg/kubelet/cm/" || fail "copying k8s.io/kubernetes"
        echo "$stamp" >"$tree.stamp"
    fi
    cp "$top/tests/go.sum" "$cache/go.sum" &&
        { cat "$top/tests/go.mod"; echo "replace k8s.io/kubernetes => $tree"; } >"$cache/go.mod" || fail "writing $cache/go.mod"
}

# go_build PACKAGE: builds $cache/PACKAGE from tests/PACKAGE.
go_build() {
    [ -x "$cache/$1" ] || say "building with k8s.io/kubernetes $kubernetes_version: 3 to 5 minutes on two cores, the first time only"
    export GOTMPDIR="$work"
    if ! with_progress "building tests/$1" nice -n 10 go build -C "$top/tests" -p 2 -modfile="$cache/go.mod" \
        -ldflags="-s -w -X k8s.io/component-base/version.gitVersion=$kubernetes_version" -o "$cache/$1" "./$1"; then
        cat "$work/output"
        fail "tests/$1 does not build"
    fi
}
