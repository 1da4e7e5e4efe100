#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# What a change of this repository has to pass before it is merged:
#
#     ./ci.sh [BASE]
#
# BASE is the revision that the change will be merged into (default: origin/main). Needs sallyport(1), git, and no
# gateway. Fails where a file has a mistake or a warning, a test of the policy fails, or a file is not laid out as `fmt`
# does it. What BASE's policy and this one permit differently is printed, for whoever reviews the change: a
# difference is no failure.
set -u
cd "$(dirname "$0")" || exit 2
base=${1:-origin/main}
failed=0

title() { printf '\n== %s\n' "$1"; }

title "mistakes"
sallyport policy check --strict --no-tests . || failed=1

title "tests"
sallyport policy test . || failed=1

title "layout (sallyport policy fmt --write does it)"
sallyport policy fmt --check ./*.yaml roles.d/*.yaml roles.d/tests/*.yaml || failed=1

title "what this change permits and forbids, against $base"
if git rev-parse --quiet --verify "$base^{commit}" >/dev/null; then
    # 0 the same, 1 different; anything else: one of the two could not be read, so nobody can review it.
    sallyport policy diff "$base" .
    [ $? -le 1 ] || failed=1
else
    echo "there is no revision $base: is the history fetched?"
    failed=1
fi

# Where approvers are set, what is to be loaded is signed, too; a change still in review may not be.
if [ -e manifest ] && git cat-file -e "$base:manifest" 2>/dev/null; then
    title "signatures"
    before=$(mktemp -d) || exit 2
    trap 'rm -rf "$before"' EXIT
    git show "$base:manifest" >"$before/manifest"
    git show "$base:approvers.yaml" >"$before/approvers.yaml"
    sallyport policy verify --approvers "$before/approvers.yaml" --previous "$before/manifest" . ||
        echo "not signed yet, or not rightly: it cannot be loaded like this"
fi

exit $failed
