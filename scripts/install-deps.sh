#!/usr/bin/env bash
# Installs the Debian or Ubuntu packages that Sluice needs, only those that are missing.
#   install-deps.sh build     to build and run (quickstart)
#   install-deps.sh test      that, and what the tests need: GoogleTest, a real Slurm, clang-tidy
# As root, or with sudo. Elsewhere it prints what is needed and stops.
set -euo pipefail

build=(g++ cmake ninja-build pkg-config ca-certificates python3 python3-pip
  openmpi-bin libopenmpi-dev libsqlite3-dev libsqlitecpp-dev libboost1.81-dev
  libtomlplusplus-dev libcli11-dev nlohmann-json3-dev libpcre2-dev libutf8proc-dev
  libspdlog-dev libfmt-dev zlib1g-dev libzstd-dev libjs-chart.js)
test=(git zstd libgtest-dev libgmock-dev libbenchmark-dev libboost-context1.81-dev sqlite3 clang-tidy clang-format shellcheck
  slurmctld slurmd slurm-client slurm-wlm-basic-plugins munge
  slurmdbd slurm-wlm-mysql-plugin mariadb-server-core
  iproute2 util-linux procps)

case ${1:-} in
  build) want=("${build[@]}") ;;
  test) want=("${build[@]}" "${test[@]}") ;;
  *) sed -n '2,5p' "$0" >&2; exit 2 ;;
esac

if ! command -v apt-get >/dev/null; then
  echo "install-deps: this is no Debian or Ubuntu; Sluice needs what these packages hold:" >&2
  printf '  %s\n' "${want[@]}" >&2
  echo "Install them your site's way (modules, spack, dnf), then build with: cmake --workflow --preset release" >&2
  exit 1
fi

missing=()
for package in "${want[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} = 0 ] && exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || {
    echo "install-deps: not root and no sudo; as root run: apt-get install ${missing[*]}" >&2
    exit 1
  }
  as_root=(sudo)
fi

echo "installing ${#missing[@]} packages: ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# The Slurm packages would start daemons on installation; policy-rc.d is Debian's way to say no.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee $policy >/dev/null
  "${as_root[@]}" chmod 755 $policy
  trap '"${as_root[@]}" rm -f $policy; rm -f "$log"' EXIT
fi
install() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y --no-install-recommends "${missing[@]}" >>"$log" 2>&1
}
install || {
  "${as_root[@]}" apt-get update >>"$log" 2>&1 || true
  install
} || {
  tail -n 20 "$log" >&2
  echo "install-deps: apt-get could not install the packages above (Debian 12 and Ubuntu 24.04 have them)" >&2
  exit 1
}
