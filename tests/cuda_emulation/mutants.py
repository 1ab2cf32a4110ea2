"""The bugs that mutate.py plants, one a mutant: in a file of kernels/cuda a text, which stands there
once, becomes another.

    Mutant(name, old, new)
        under="thread" or "address"   where no test of the plain build sees it, the sanitizer to ask
        survives="why"                nothing is wrong with it, or nothing here can tell"""
import dataclasses


@dataclasses.dataclass
class Mutant:
    name: str
    old: str
    new: str
    under: str = ""
    survives: str = ""
    file: str = ""


BARRIER = "__syncthreads();\n"

# File -> (the tests that run its kernels, its mutants).
MUTANTS = {
    "attention.cu": ("*/Attention*:*/KvCopy*", [
        Mutant("a token does not see itself", "at_most(kChunk, position + 1 - chunk_first)",
               "at_most(kChunk, position - chunk_first)"),
        Mutant("the window is one wider", "at_least(0, position + 1 - args.window)",
               "at_least(0, position - args.window)"),
        Mutant("chunks of a window that is one wider", "at_least(0, position + 1 - window)",
               "at_least(0, position - window)"),
        Mutant("a last chunk too few", "position / kChunk + 1", "(position + 1) / kChunk + (position < kChunk)"),
        Mutant("heads of KV heads interleaved", "kv_head * group_heads + head_of_group",
               "head_of_group * args.kv.kv_heads + kv_head"),
        Mutant("rows of the sequence after it", "at_most(tile.rows, first.run_rest)", "tile.rows"),
        Mutant("a tile begins at the wrong rows", "row.run_index % tile.rows != 0", "row.run_index % tile.heads != 0"),
        Mutant("no scale", "score[i] * args.scale", "score[i]"),
        Mutant("no softcap", "args.softcap > 0 ? soft_cap_of(scaled, args.softcap) : scaled;", "scaled;"),
        Mutant("pages no ring", "(chunk_page + number) % row.page_count", "chunk_page + number"),
        Mutant("queries read beyond their head", "query[i].row >= 0 && d < dim ?", "query[i].row >= 0 ?"),
        Mutant("no barrier before scores", BARRIER + "\n  // Scores", "\n  // Scores", under="thread"),
        Mutant("no barrier before softmax", BARRIER + "\n  // Softmax", "\n  // Softmax", under="thread"),
        Mutant("no barrier before values", BARRIER + "\n  // Values", "\n  // Values", under="thread"),
        Mutant("no barrier before stretches are joined", BARRIER + "  for (int d", "  for (int d", under="thread"),
        Mutant("the best of scores that are not seen", "if (p >= query[i].begin && p < query[i].end) best",
               "if (p < query[i].end) best"),
        Mutant("a weight beyond the last", "p >= query[i].end) continue;\n      const float weight",
               "p > query[i].end) continue;\n      const float weight"),
        Mutant("stretches by the size of the tile", "stretch_count = stretches(pairs)",
               "stretch_count = stretches(pairs * Queries)"),
        Mutant("a stretch ends one early", "(stretch + 1) * stretch_positions",
               "(stretch + 1) * stretch_positions - 1"),
        Mutant("chunks joined without decay", "value = fmaf(partial[2 + d], weight, value * decay)",
               "value = fmaf(partial[2 + d], weight, value)"),
        Mutant("the smaller score is the best", "best > with.best ? best", "best < with.best ? best"),
        Mutant("a lone chunk that is not the first", "if (chunks.end - chunks.first == 1) return",
               "if (chunks.end == 1) return"),
    ]),
    "embed.cu": ("*/Embed*:*/Products.ATable*", [
        Mutant("no scale of the row", "args.table.row_scale[token] * args.scale", "args.scale"),
        Mutant("a last column too many", "column + 1 < cols", "column < cols", under="address"),
        Mutant("row of the wrong half", "in_group / 8)", "in_group % 2)"),
        Mutant("every other column not scaled", "values.y * scale", "values.y"),
        Mutant("floats not scaled", "from[i] * args.scale", "from[i]"),
    ]),
    "gated_activation.cu": ("*/GatedActivation*", [
        Mutant("the sign of the exponent", "exp_of(-slope)", "exp_of(slope)"),
        Mutant("an element too many", "i >= args.count", "i > args.count", under="address"),
        Mutant("a constant's third digit", "7.13548163e-2f", "7.14548163e-2f"),
    ]),
    "head_select.cu": ("*/HeadSelect*:*/HeadShortlist*", [
        Mutant("of two zeros two", "logit + 0.0f", "logit"),
        Mutant("no number is the best", "logit != logit ? 0 : ", ""),
        Mutant("no barrier before the next of k", BARRIER[:-1] + "  // of the time before\n", "\n", under="thread"),
        Mutant("no barrier before warps are joined", "shared.best[warp()] = mine;\n  " + BARRIER,
               "shared.best[warp()] = mine;\n", under="thread"),
        Mutant("the best again and again", "each < last", "each <= last"),
        Mutant("half a warp's best", "distance = kWarp / 2", "distance = kWarp / 4"),
        Mutant("pieces over each other", "row * gridDim.y + blockIdx.y", "row * gridDim.y"),
        Mutant("ids from the piece's first", "args.first_id + static_cast", "static_cast"),
        Mutant("no softcap", "if (args.softcap > 0) best", "if (false) best"),
    ]),
    "head_shortlist.cu": ("*/HeadShortlist*", [
        Mutant("the change of the token after", "args.changes[middle].id < id", "args.changes[middle].id <= id"),
        Mutant("repetition the other way", "biased > 0 ? __fdiv_rn", "biased < 0 ? __fdiv_rn"),
        Mutant("never capped", "list.capped ? raw : plain", "plain"),
        Mutant("always capped", "list.capped ? raw : plain", "raw"),
        Mutant("raw is not capped", ".raw = raw", ".raw = plain"),
        Mutant("a token too many", "at >= args.tokens", "at > args.tokens", under="address"),
        Mutant("not scaled", "logit * list.scale", "logit"),
        Mutant("no barrier before the blocks' largest", "shared.largest[warp()] = largest;\n  " + BARRIER,
               "shared.largest[warp()] = largest;\n", under="thread"),
        Mutant("blocks over each other", "blockIdx.y * std::size_t{gridDim.x} + blockIdx.x", "blockIdx.x"),
        Mutant("the largest but k - 1", "before + 1 == list.k", "before + 2 == list.k"),
        Mutant("the least is not in the list", "token.listed.logit >= list.least", "token.listed.logit > list.least"),
        Mutant("more than there is room for", "if (place < list.room) args", "args", under="address"),
        Mutant("lists over each other", "list.found_at + place", "place"),
    ]),
    "kv_write.cu": ("*/Attention*:*/KvCopy*", [
        Mutant("values read beyond their head", "d < dim ? args.v[at] : 0.0f", "args.v[at]", under="address"),
        Mutant("keys read beyond their head", "d < dim ? args.k[at] : 0.0f", "args.k[at]"),
        Mutant("a slot too far", "row.position % kKvPageTokens", "(row.position + 1) % kKvPageTokens"),
        Mutant("dimensions over each other", "i % parts * kWarp", "i % parts"),
        Mutant("heads without their end", "(padded_dim(dim) + kWarp - 1) / kWarp", "padded_dim(dim) / kWarp"),
    ]),
    "kv_pages.h": ("*/Attention*:*/KvCopy*", [
        Mutant("pages no ring", "position / kKvPageTokens % row.page_count", "position / kKvPageTokens"),
        Mutant("heads over each other", "kv.kv_heads + head) * kv", "kv.kv_heads) * kv"),
        Mutant("a scale rounded down", "(bits + 0xffff) >> 16", "bits >> 16"),
        Mutant("half a warp's largest", "distance = kWarp / 2", "distance = kWarp / 4"),
        Mutant("values by the scale of keys", "*value_scale(slot, d) = of_values", "*value_scale(slot, d) = of_keys"),
        Mutant("scales of values over each other", "(kKvPageTokens + slot) * scales()", "(kKvPageTokens + slot)"),
        Mutant("keys over each other", "* kKeyValues + d % kKeyValues", "* kKeyValues"),
    ]),
    "math.h": ("*/GatedActivation*:*/HeadSelect*:*/Attention*", [
        Mutant("e to the 80 and above are one", "clamp(x, -87.0f, 88.0f)", "clamp(x, -87.0f, 80.0f)"),
        Mutant("e to the -80 and below are one", "clamp(x, -87.0f, 88.0f)", "clamp(x, -80.0f, 88.0f)",
               survives="it is added to 1, or to a sum whose largest term is 1: 1 + e^-80 is 1"),
        Mutant("the end of ln 2 is missing", "r = fmaf(n, 2.12194442e-4f, r);", ""),
        Mutant("tanh ends early", "clamp(x + x, -20.0f, 20.0f)", "clamp(x + x, -14.0f, 14.0f)"),
        Mutant("what is no number becomes one", "x > high ? high : x", "x < high ? x : high"),
    ]),
    "product_fp32.cu": ("*/Matmul*:*/HeadSelect*", [
        Mutant("no barrier before slices are joined", BARRIER + "  static_assert", "  static_assert", under="thread"),
        Mutant("activations beyond the row", "column + 1 < args.weight.cols", "column < args.weight.cols"),
        Mutant("two of four lanes", "sum += __shfl_xor_sync(kAllLanes, sum, 2);", ""),
        Mutant("rows that are not there", "|| row >= args.weight.rows", ""),
        Mutant("tokens that are not there", "token >= args.tokens ||", ""),
        Mutant("no bias", "value += args.bias[row]", "value += 0"),
        Mutant("set, not added", "args.add ? out + value : value", "value"),
        Mutant("a slice begins one early", "number = slice * tiles / kSlices;",
               "number = slice * tiles / kSlices - (slice == 2);"),
    ]),
    "product_input.cu": ("*/Products*", [
        Mutant("no barrier before the largest is known", "shared.largest[warp()] = largest;\n  " + BARRIER,
               "shared.largest[warp()] = largest;\n", under="thread"),
        Mutant("beyond a half's range", "kExponentMax = 14", "kExponentMax = 16"),
        Mutant("a scale beyond the largest power", "(up > 126 ? 126 : up)", "up"),
        Mutant("parts over each other", "+\n        part % 2 * 4;", ";"),
        Mutant("lanes that are not there", "0xffffu << (lane() & 16)", "kAllLanes"),
        Mutant("sums of two of four lanes", "sum += __shfl_xor_sync(here, sum, 2);", ""),
        Mutant("the second plane over the first", "plane * plane_values + at", "at"),
        Mutant("columns of the next row", "is_row && first + i < cols ?", "is_row ?"),
        Mutant("sums of the last plane alone", "sum += __half2float(value)", "sum = __half2float(value)"),
    ]),
    "rms_norm.cu": ("*/RmsNorm*", [
        Mutant("no eps", "mean + args.eps", "mean"),
        Mutant("set, not added", "args.add ? out[i] + normed : normed", "normed"),
        Mutant("the mean of the block's columns", "static_cast<float>(args.cols)", "static_cast<float>(kThreads)"),
        Mutant("no gain", "* scale * args.gain[i]", "* scale"),
    ]),
    "rope.cu": ("*/Rope*", [
        Mutant("the second by the new first", "a * sine", "first * sine"),
        Mutant("turned the other way", "-(b * sine)", "b * sine"),
        Mutant("halves as neighbours", "args.neighbours ? 2 * i + 1 : i + half", "2 * i + 1"),
        Mutant("angles of half the position", "position) * args.head_dim", "position) * half"),
    ]),
    "product.cu": ("*/Products*", [
        Mutant("no barrier before slices are joined", BARRIER + "    for (int n = warp()",
               "    for (int n = warp()", under="thread"),
        Mutant("slices in another order", "shared.of_warp[slice][n]", "shared.of_warp[kSlices - slice][n]"),
        Mutant("a slice ends one early", "(slice + 1) * tiles / kSlices", "(slice + 1) * tiles / kSlices - (slice == 1)"),
        Mutant("rows that are not there", "row >= args.weight.rows ||", ""),
        Mutant("groups that are not there", "if (group * kGroupRows >= args.weight.rows) return;", "",
               under="address"),
        Mutant("tokens that are not there", "n < tiles ? n : 0", "n", under="address"),
        Mutant("no bias", "value += args.bias[row]", "value += 0"),
        Mutant("set, not added", "args.add ? out + value : value", "value"),
        Mutant("no scale of the row", "scale *= args.weight.row_scale[row]", "scale *= 1"),
        Mutant("the first plane twice", "halves + plane * plane_halves", "halves"),
        Mutant("minima added", "fmaf(-tile.minimum(", "fmaf(tile.minimum("),
        Mutant("minima of half the columns", "of_columns.x += before.x;", ""),
        Mutant("the scale of another part", "block : 2 * block + part", "block : block + part"),
        Mutant("the last groups missing", "(groups + kWarps - 1) / kWarps", "groups / kWarps"),
    ]),
    "tile.h": ("*/Embed*:*/Products*:*/Matmul*", [
        Mutant("the fifth bit of another pair", "(4 * word + place)", "(4 * word)"),
        Mutant("upper bits of the other row", "2 * (4 * row + place)", "2 * (4 * (1 - row) + place)"),
        Mutant("pairs of bytes in the wrong order", "0x4140 : 0x4342", "0x4342 : 0x4140"),
        Mutant("minima and scales swapped", "static_cast<float>(both >> 4)", "static_cast<float>(both & 15)"),
        Mutant("planes of floats swapped", "(2 * (pair / 4) + row)", "(pair / 4 + 2 * row)"),
    ]),
    "packing.h": ("*/Embed*:*/Products*:*/Matmul*", [
        Mutant("a header's place for scales alone", "(has_minimum ? 4 : 2) * kGroupRows", "2 * kGroupRows"),
        Mutant("bfloats as halves", ".is_bfloat = !halves", ".is_bfloat = false"),
        Mutant("tiles of the last header that are not there",
               "(tiles + tiles_per_header() - 1) / tiles_per_header()", "tiles / tiles_per_header()",
               survives="formats with headers have whole blocks of 256 columns: four tiles"),
    ]),
    "mma.h": ("*/Products*", [
        Mutant("half of the columns", ".k_groups = 2", ".k_groups = 1"),
    ]),
    "device.h": ("*/RmsNorm*:*/Attention*", [
        Mutant("no barrier before warps are joined", "of_warp[warp()] = value;\n    " + BARRIER,
               "of_warp[warp()] = value;\n", under="thread"),
        Mutant("a sum of pairs", "value += __shfl_xor_sync(kAllLanes, value, distance)",
               "value += __shfl_xor_sync(kAllLanes, value, 1)"),
        Mutant("the largest of some lanes", "fmaxf(value, __shfl_xor_sync(kAllLanes, value, distance))",
               "fmaxf(value, __shfl_xor_sync(kAllLanes, value, 1))"),
    ]),
}


def all_mutants():
    for file, (tests, mutants) in MUTANTS.items():
        for mutant in mutants:
            yield dataclasses.replace(mutant, file=file), tests
