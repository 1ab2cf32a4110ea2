// What a head is padded with is written too, as zeros: attention multiplies it.
#include "kernels/cuda/device.h"
#include "kernels/cuda/kv_pages.h"
#include "kernels/cuda/operations.h"

namespace sluice::kernels::cuda {
namespace {

constexpr int kThreads = 128, kWarps = kThreads / kWarp;

// A warp takes 32 dimensions of a head.
template <KvType Type>
__global__ void __launch_bounds__(kThreads) kv_write_kernel(KvWriteArgs args) {
  const RowPlace row = args.places.rows[blockIdx.x];
  const std::int32_t page = page_of(args.places, row, row.position);
  const int dim = args.kv.head_dim, parts = (padded_dim(dim) + kWarp - 1) / kWarp;
  const std::size_t from = std::size_t{blockIdx.x} * args.kv.kv_heads * dim;
  for (int i = warp(); i < args.kv.kv_heads * parts; i += kWarps) {
    const int head = i / parts, d = i % parts * kWarp + lane();
    const std::size_t at = from + static_cast<std::size_t>(head) * dim + d;
    const KvHead<Type> to(args.kv, page, head);
    to.write(row.position % kKvPageTokens, d, d < dim ? args.k[at] : 0.0f,
             d < dim ? args.v[at] : 0.0f);
  }
}

auto kernel_for(KvType type) {
  switch (type) {
    case KvType::f32:
      return &kv_write_kernel<KvType::f32>;
    case KvType::f16:
      return &kv_write_kernel<KvType::f16>;
    case KvType::bf16:
      return &kv_write_kernel<KvType::bf16>;
    case KvType::q8:
      return &kv_write_kernel<KvType::q8>;
  }
  return &kv_write_kernel<KvType::f32>;
}

}  // namespace

void kv_write(const KvWriteArgs& args, cudaStream_t stream) {
  launch(kernel_for(args.kv.type), "kv_write",
         {dim3(static_cast<unsigned>(args.rows)), dim3(kThreads)}, stream, args);
}

}  // namespace sluice::kernels::cuda
