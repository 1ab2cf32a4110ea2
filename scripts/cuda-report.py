#!/usr/bin/env python3
"""What nvcc makes of the CUDA kernels, without a GPU.

    cuda-report.py --arch 90               a table in Markdown; of all known architectures without --arch
    cuda-report.py --arch 75,90 --format json
    cuda-report.py --no-spills             no table: names each kernel that keeps registers or arrays in
                                           local memory, and exits 1 if there is one

Of each kernel: registers, stack and spills and static shared memory, as ptxas tells them; threads of a
block (__launch_bounds__); blocks that fit on a multiprocessor at once, with the share of its warps that
they are and what allows no more; and how often instructions that matter stand in its code, memory
accesses by their width in bits. These are counted in the cubin itself, as a CUDA toolkit may lack
cuobjdump. A loop's body counts once.

Takes half a minute an architecture."""
import argparse
import concurrent.futures
import json
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
FLAGS = ["-std=c++20", "--fmad=false", "--expt-relaxed-constexpr"]  # of kernels/cuda/CMakeLists.txt

# An instruction is 128 bits; these are the low nine. Bits 73 to 75 are the width of an access.
OPCODES = {0x181: "LDG", 0x186: "STG", 0x184: "LDS", 0x188: "STS", 0x183: "LDL", 0x187: "STL",
           0x03c: "HMMA", 0x023: "FFMA", 0x108: "MUFU", 0x189: "SHFL", 0x11d: "BAR"}
HAS_WIDTH = {"LDG", "STG", "LDS", "STS", "LDL", "STL"}
WIDTH_BITS = {0: 8, 1: 8, 2: 16, 3: 16, 4: 32, 5: 64, 6: 128}

WARP, REGISTERS, REGISTER_UNIT, PARTITIONS = 32, 65536, 256, 4  # of a multiprocessor; since 7.5
# Warps, blocks, bytes of shared memory, those of a block that the driver takes, and their unit.
MULTIPROCESSORS = {75: (32, 16, 64 << 10, 0, 256), 80: (64, 32, 164 << 10, 1024, 128),
                   86: (48, 16, 100 << 10, 1024, 128), 89: (48, 24, 100 << 10, 1024, 128),
                   90: (64, 32, 228 << 10, 1024, 128), 100: (64, 32, 228 << 10, 1024, 128),
                   120: (48, 24, 100 << 10, 1024, 128)}


def round_up(n, unit):
    return -(-n // unit) * unit


def occupancy(arch, registers, threads, shared_bytes):
    """Blocks of a multiprocessor, their share of its warps, what allows no more (cuda_occupancy.h)."""
    warps_max, blocks_max, shared_max, reserved, shared_unit = MULTIPROCESSORS[arch]
    warps = round_up(threads, WARP) // WARP
    warps_with_registers = REGISTERS // PARTITIONS // round_up(registers * WARP, REGISTER_UNIT) * PARTITIONS
    limits = {"warps": warps_max // warps, "blocks": blocks_max, "registers": warps_with_registers // warps}
    if shared_bytes:
        limits["shared memory"] = shared_max // round_up(shared_bytes + reserved, shared_unit)
    limit = min(limits, key=limits.get)
    return limits[limit], limits[limit] * warps / warps_max, limit


def sections(elf):
    """Name to bytes of a 64-bit little-endian ELF file."""
    start, = struct.unpack_from("<Q", elf, 40)
    count, names = struct.unpack_from("<HH", elf, 60)
    headers = [struct.unpack_from("<IIQQQQ", elf, start + 64 * i) for i in range(count)]
    names_at = headers[names][4]
    found = {}
    for name, _, _, _, at, size in headers:
        end = elf.index(b"\0", names_at + name)
        found[elf[names_at + name:end].decode()] = elf[at:at + size]
    return found


def threads_of(info):
    """What __launch_bounds__ says, from a kernel's .nv.info; None where it says nothing."""
    at = 0
    while at < len(info):
        form, attribute, size = struct.unpack_from("<BBH", info, at)
        at += 4
        if form != 4:  # its value is in the place of the size
            continue
        if attribute == 0x05:
            x, y, z = struct.unpack_from("<III", info, at)
            return x * y * z
        at += size
    return None


def count_instructions(code):
    counts = {}
    for low, high in struct.iter_unpack("<QQ", code):
        name = OPCODES.get(low & 0x1ff)
        if name in HAS_WIDTH:
            name += f".{WIDTH_BITS.get(high >> 9 & 7, '?')}"
        if name:
            counts[name] = counts.get(name, 0) + 1
    return counts


def enumerators(header, name):
    enumeration = re.search(rf"enum class {name} \{{(.*?)\}}", (ROOT / "kernels" / header).read_text(), re.S)
    return [name.strip() for name in enumeration[1].split(",")]


def short_names(mangled):
    """product<q4_k, 4, 1>: a packing is named by the first type that has it; that of products in fp32
    ends in /fp32."""
    types, kv_types = enumerators("quant.h", "WeightType"), enumerators("backend.h", "KvType")

    def packing(match):
        return types[int(match[1])] + ("" if match[2] == "true" else "/fp32")

    demangled = subprocess.run(["c++filt", *mangled], text=True, capture_output=True, check=True).stdout
    names = []
    for name in demangled.splitlines():
        name = re.sub(r"sluice::kernels::(cuda::)?|\(anonymous namespace\)::|^void ", "", name)
        name = re.sub(r"PackingOf<\(WeightType\)(\d+), (true|false)> ?", packing, name)
        name = re.sub(r"\(KvType\)(\d+)", lambda match: kv_types[int(match[1])], name)
        names.append(re.sub(r"\(.*", "", name).replace("_kernel", ""))
    return names


def kernels_of(nvcc, source, arch):
    """Compiles one source for one architecture."""
    with tempfile.TemporaryDirectory() as folder:
        cubin = pathlib.Path(folder) / "cubin"
        command = [nvcc, "-cubin", "-Xptxas", "-v", *FLAGS, "-I", ROOT, f"-arch=sm_{arch}", source, "-o", cubin]
        nvcc_run = subprocess.run(command, text=True, capture_output=True)
        if nvcc_run.returncode:
            raise SystemExit(f"cuda-report.py: nvcc failed\n{nvcc_run.stderr}")
        of_cubin = sections(cubin.read_bytes())
    used = re.findall(r"Compiling entry function '(\S+)'.*?(\d+) bytes stack frame, (\d+) bytes spill stores, "
                      r"(\d+) bytes spill loads.*?Used (\d+) registers(.*?)\n", nvcc_run.stderr, re.S)
    names = short_names([mangled for mangled, *_ in used])
    kernels = []
    for name, (mangled, stack, spill_stores, spill_loads, registers, rest) in zip(names, used):
        shared = re.search(r"(\d+) bytes smem", rest)
        kernel = dict(kernel=name, source=source.name, arch=arch, registers=int(registers), stack_bytes=int(stack),
                      spill_store_bytes=int(spill_stores), spill_load_bytes=int(spill_loads),
                      shared_bytes=int(shared[1]) if shared else 0, threads=threads_of(of_cubin[".nv.info." + mangled]),
                      instructions=count_instructions(of_cubin[".text." + mangled]))
        if kernel["threads"]:
            blocks, share, limit = occupancy(arch, kernel["registers"], kernel["threads"], kernel["shared_bytes"])
            kernel.update(blocks=blocks, occupancy=share, occupancy_limit=limit)
        kernels.append(kernel)
    return kernels


def uses_local_memory(kernel):
    return (kernel["stack_bytes"] or kernel["spill_store_bytes"] or kernel["spill_load_bytes"]
            or any(name.startswith(("LDL", "STL")) for name in kernel["instructions"]))


def print_table(kernels):
    print("| kernel | registers | stack | spills | shared | threads | blocks | occupancy | instructions |")
    print("|---|---:|---:|---:|---:|---:|---:|---|---|")
    for k in kernels:
        spills = k["spill_store_bytes"] + k["spill_load_bytes"]
        fit = f"{k['blocks']} | {k['occupancy']:.0%}, {k['occupancy_limit']}" if k["threads"] else "- | -"
        instructions = ", ".join(f"{count} {name}" for name, count in sorted(k["instructions"].items()))
        print(f"| `{k['kernel']}` | {k['registers']} | {k['stack_bytes']} | {spills} | {k['shared_bytes']} "
              f"| {k['threads'] or '-'} | {fit} | {instructions} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", default=",".join(map(str, MULTIPROCESSORS)), help="compute capabilities: 75,90")
    parser.add_argument("--format", choices=("md", "json"), default="md")
    parser.add_argument("--no-spills", action="store_true")
    parser.add_argument("--jobs", type=int, default=1, help="compilers at once")
    options = parser.parse_args()
    archs = [int(arch.removeprefix("sm_")) for arch in options.arch.split(",")]
    for arch in archs:
        if arch not in MULTIPROCESSORS:
            parser.error(f"no occupancy is known of sm_{arch}")
    nvcc = shutil.which("nvcc") or shutil.which("/usr/local/cuda/bin/nvcc")
    if not nvcc:
        raise SystemExit("cuda-report.py: there is no nvcc, on the PATH or in /usr/local/cuda/bin")

    listed = (ROOT / "kernels/cuda/sources.cmake").read_text()
    sources = [ROOT / "kernels/cuda" / name for name in re.findall(r"^\s+(\w+\.cu)\b", listed, re.M)]
    began = time.monotonic()
    kernels = []
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        wanted = [(source, arch) for arch in archs for source in sources]
        for (source, arch), found in zip(wanted, pool.map(lambda each: kernels_of(nvcc, *each), wanted)):
            print(f"{time.monotonic() - began:4.0f} s: {source.name} for sm_{arch}", file=sys.stderr)
            kernels += sorted(found, key=lambda kernel: kernel["kernel"])

    if options.no_spills:
        bad = [kernel for kernel in kernels if uses_local_memory(kernel)]
        for k in bad:
            print(f"sm_{k['arch']}: {k['kernel']} ({k['source']}) has a stack frame of {k['stack_bytes']} bytes, "
                  f"stores {k['spill_store_bytes']} and loads {k['spill_load_bytes']} bytes of spills")
        print(f"{len(bad)} of {len(kernels)} kernels use local memory")
        sys.exit(1 if bad else 0)
    if options.format == "json":
        json.dump(kernels, sys.stdout, indent=1)
        print()
        return
    for arch in archs:
        if len(archs) > 1:
            print(f"\n## sm_{arch}\n")
        print_table([kernel for kernel in kernels if kernel["arch"] == arch])


if __name__ == "__main__":
    main()
