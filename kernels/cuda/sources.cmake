# What the CUDA backend is made of, for nvcc and for the emulation (tests/cuda_emulation).
set(SLUICE_CUDA_KERNELS
  attention.cu
  embed.cu
  gated_activation.cu
  head_select.cu
  kv_write.cu
  product.cu
  product_fp32.cu
  product_input.cu
  rms_norm.cu
  rope.cu)
set(SLUICE_CUDA_HOST
  backend.cpp
  check.cpp
  memory.cpp
  packed_rows.cpp
  weight.cpp)
list(TRANSFORM SLUICE_CUDA_KERNELS PREPEND ${CMAKE_CURRENT_LIST_DIR}/)
list(TRANSFORM SLUICE_CUDA_HOST PREPEND ${CMAKE_CURRENT_LIST_DIR}/)
