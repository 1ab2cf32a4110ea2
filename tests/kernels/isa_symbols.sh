#!/bin/sh
# isa_symbols.sh ISA OBJECT...
# Code compiled for one instruction set may not offer the linker an inline function that other code
# shares: it could keep this copy for all, and a lesser CPU would meet an instruction it lacks.
# Weak symbols are allowed only in the instruction set's own namespace.
isa=$1
shift
leaks=$(nm -C --defined-only "$@" | grep -E '^[0-9a-f]+ [WuV] ' | grep -v -e "cpu::$isa::" -e ' V DW\.ref\.')
[ -z "$leaks" ] || {
  echo "shared inline functions compiled for $isa:"
  echo "$leaks"
  exit 1
}
