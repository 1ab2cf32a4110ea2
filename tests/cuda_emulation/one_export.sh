#!/bin/sh
# one_export.sh MODULE...
# A module shows a program its one function and nothing that could be taken for the program's own.
for module in "$@"; do
  exports=$(nm -D --defined-only "$module" | awk '{print $3}')
  [ "$exports" = sluice_cuda_module ] || {
    echo "$module shows:" "$exports"
    exit 1
  }
done
