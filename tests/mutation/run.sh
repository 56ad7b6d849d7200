#!/bin/sh
# Mutation testing: does the suite notice when a line of the mathematics is changed?
#
#     pip install "cosmic-ray>=8.7,<9"
#     tests/mutation/run.sh flow crossing queue jacobian timing_backprop
#
# For each module named, a copy of the tree is mutated (never the checkout), one mutant at a time, and
# the module's own tests run without compilation, so that a mutant costs seconds. Prints the share of
# mutants that survived, then each survivor as a diff. Copies and sessions stay in $MUTATION_DIR
# (default: a new temporary directory), so that an interrupted run goes on where it stopped.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
work=${MUTATION_DIR:-$(mktemp -d)}
export NUMBA_DISABLE_JIT=1
for module; do
    tree=$work/$module
    session=$work/$module.sqlite
    config=tests/mutation/$module.toml
    if [ ! -d "$tree" ]; then
        mkdir -p "$tree"
        (cd "$root" && tar -c --exclude=__pycache__ --exclude=.numba_cache pyproject.toml \
            conftest.py eventsim gradients tests) | tar -x -C "$tree"
    fi
    cd "$tree"
    if [ ! -f "$session" ]; then
        cosmic-ray init "$config" "$session"
        cr-filter-operators "$session" "$config"
        cr-filter-pragma "$session"
    fi
    cosmic-ray exec "$config" "$session"
    cr-report "$session" --surviving-only --show-diff > "$work/$module.survivors"
    printf '%s: survival rate %s %%, survivors in %s\n' \
        "$module" "$(cr-rate "$session")" "$work/$module.survivors"
done
