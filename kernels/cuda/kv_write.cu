// What a head is padded with is written too, as zeros: attention multiplies it.
#include "kernels/cuda/device.h"
#include "kernels/cuda/kv_pages.h"
#include "kernels/cuda/operations.h"

namespace sluice::kernels::cuda {
namespace {

constexpr int kThreads = 128;

template <class Element>
__global__ void __launch_bounds__(kThreads) kv_write_kernel(KvWriteArgs args) {
  const RowPlace row = args.places.rows[blockIdx.x];
  const std::int32_t page = page_of(args.places, row, row.position);
  const int dim = args.kv.head_dim, padded = padded_dim(dim);
  const std::size_t from = std::size_t{blockIdx.x} * args.kv.kv_heads * dim;
  for (int i = static_cast<int>(threadIdx.x); i < args.kv.kv_heads * padded; i += kThreads) {
    const int head = i / padded, d = i % padded;
    const std::size_t at = from + static_cast<std::size_t>(head) * dim + d;
    const KvHead<Element> to(args.kv, page, head);
    const int slot = row.position % kKvPageTokens;
    *to.key(slot, d) = from_float<Element>(d < dim ? args.k[at] : 0.0f);
    *to.value(slot, d) = from_float<Element>(d < dim ? args.v[at] : 0.0f);
  }
}

}  // namespace

void kv_write(const KvWriteArgs& args, cudaStream_t stream) {
  launch(args.kv.half ? &kv_write_kernel<__half> : &kv_write_kernel<float>, "kv_write",
         {dim3(static_cast<unsigned>(args.rows)), dim3(kThreads)}, stream, args);
}

}  // namespace sluice::kernels::cuda
