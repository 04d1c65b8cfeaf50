# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
# What ./quickstart and ./check share: progress lines, the Debian packages, the build directory.
# Source it from the top of the checkout.

# To build. The libraries of the tests are among them, for the same build files ask for them.
packages_build='gcc libc6-dev meson ninja-build pkg-config libevent-dev libevhtp-dev libssl-dev
    libcurl4-openssl-dev libjansson-dev libyaml-dev libhwloc-dev libnuma-dev libcmocka-dev liblzma-dev'
packages_quickstart='curl'
packages_check='clang-format gcovr bzip2 graphviz openssl python3-jsonschema'
packages_all='clang libclang-rt-14-dev llvm'

# say TEXT...: one line with the minutes and seconds since the script began.
say() {
    printf '[%2d:%02d] %s\n' $((SECONDS / 60)) $((SECONDS % 60)) "$*"
}

die() {
    say "$*" >&2
    exit 1
}

package_is_there() {
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# need PACKAGE...: install what is missing; does nothing, and needs no root, where all are there.
need() {
    local package output missing=() as=()
    if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
        say "no apt-get here: these Debian packages are taken to be there: $*"
        return
    fi
    for package; do
        package_is_there "$package" || missing+=("$package")
    done
    if [ ${#missing[@]} -eq 0 ]; then
        say "packages: all $# there"
        return
    fi
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || die "as root, first: apt-get install ${missing[*]}"
        as=(sudo)
    fi
    say "packages: apt-get install ${missing[*]}"
    "${as[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq ||
        say "apt-get update failed, trying with the lists that are there"
    output=$("${as[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y \
        --no-install-recommends -o Dpkg::Use-Pty=0 "${missing[@]}" 2>&1) || die "$output"
    say "packages: installed"
}

# configured DIR COMPILER [MESON-OPTION...]: a build directory, set up when it is new or was set up
# otherwise; false when that fails.
configured() {
    local dir=$1 want="$*" output wipe=()
    local compiler=$2
    shift 2
    if [ -f "$dir/build.ninja" ]; then
        [ "$(cat "$dir/set-up-as" 2>/dev/null)" != "$want" ] || return 0
        [ $# -gt 0 ] || return 0 # build/ is also the developer's own
        wipe=(--wipe)
    fi
    if output=$(CC=$compiler meson setup "$dir" "${wipe[@]}" "$@" 2>&1); then
        echo "$want" >"$dir/set-up-as"
        return 0
    fi
    printf '%s\n' "$output" | tail -n 20
    say "meson setup $dir failed"
    return 1
}
