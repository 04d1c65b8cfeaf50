#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The console's page in a real browser: what it shows of a decision, and of names that are markup.
#   browser.sh NUMAWISE SOURCE-DIR
set -eu
program=$1 source=$2
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
[ -n "$browser" ] || {
    echo 'SKIPPED, THE PAGE WAS NOT TRIED IN A BROWSER: chromium is not installed' >&2
    exit 77
}
work=$(mktemp -d)
server=
clean_up() {
    [ -z "$server" ] || { kill "$server" 2>/dev/null && wait "$server" || true; }
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

"$program" serve --cluster "$source/deploy/examples/cluster" --listen extender=127.0.0.1:0 \
    --listen operator=off --listen console=127.0.0.1:0 --addresses-file "$work/addresses" \
    >"$work/log" 2>&1 &
server=$!
tries=600
until [ -s "$work/addresses" ]; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] && kill -0 "$server" || { cat "$work/log" && exit 1; }
    sleep 0.1
done
address() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" "$work/addresses"; }
extender=$(address extender) console=$(address console)

bodies=$source/deploy/examples/requests
ask() { curl -sS --fail-with-body --max-time 30 --data-binary @- "$extender/$1" >"$work/answer"; }
ask filter <"$bodies/filter.body"
ask prioritize <"$bodies/prioritize.body"
# Two pods more: one for which there is no room, one whose name would be markup.
sed 's/orderbook-7c5ddbdf54-9kx2m/too-large/; s/"cpu":"[0-9]*"/"cpu":"200"/g' "$bodies/filter.body" | ask filter
sed 's/orderbook-7c5ddbdf54-9kx2m/<img src=x onerror=document.title=1>/' "$bodies/filter.body" | ask filter

failed=0
# shows WHAT TARGET PATTERN...: each pattern is in the page as a browser has it in the end.
shows() {
    what=$1 target=$2
    shift 2
    "$browser" --headless=new --no-sandbox --disable-gpu --user-data-dir="$work/browser" \
        --virtual-time-budget=5000 --dump-dom "$console/$target" >"$work/dom" 2>"$work/complaint" || true
    for pattern in "$@"; do
        grep -q -- "$pattern" "$work/dom" && continue
        echo "FAIL  $what: no $pattern in the page"
        failed=1
    done
    [ $failed = 1 ] || echo "ok    $what"
}
decision() {
    curl -sS "$console/v1/decisions" | tr -d ' \n' | sed 's/{"pod"/\n&/g' |
        sed -n "s/.*\"pod\":\"default\/$1.*\"decision\":\"\([^\"]*\)\".*/\1/p"
}

shows 'the newest decision, and a name that is markup as text' '' \
    '<title>numawise</title>' 'default/&lt;img src=x onerror=document.title=1&gt;' 'decisions</p>'
shows 'why a pod is where it is' "#$(decision orderbook)" \
    'epyc-1 is best. 6 of 7 nodes admit it, 1 rejects it.' 'class="bar"' 't-locality' \
    '<code>32-46,160-174</code>' 'TopologyAffinityError'
shows 'why there is no room' "#$(decision too-large)" \
    'None of 7 nodes admits it: 7 reject it.' 'zone 0: cpu needs 200, free'
shows 'a decision that is gone' '#01ZZZZZZZZZZZZZZZZZZZZZZZZ' 'This decision is no longer kept'
exit $failed
