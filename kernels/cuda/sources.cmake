# What the CUDA backend is made of, for nvcc and for the emulation (tests/cuda_emulation).
set(SLUICE_CUDA_KERNELS
  attention.cu
  embed.cu
  gated_activation.cu
  head_select.cu
  head_shortlist.cu
  kv_write.cu
  product.cu
  product_fp32.cu
  product_input.cu
  rms_norm.cu
  rope.cu)
set(SLUICE_CUDA_HOST
  backend.cpp
  check.cpp
  compute_queue.cpp
  events.cpp
  handles.cpp
  head_lists.cpp
  memory.cpp
  packed_rows.cpp
  transfers.cpp
  weight.cpp
  work.cpp)
list(TRANSFORM SLUICE_CUDA_KERNELS PREPEND ${CMAKE_CURRENT_LIST_DIR}/)
list(TRANSFORM SLUICE_CUDA_HOST PREPEND ${CMAKE_CURRENT_LIST_DIR}/)
set(SLUICE_CUDA_EXPORTS ${CMAKE_CURRENT_LIST_DIR}/module.map)

# By which a program and a module that it loads tell that both are of one build: what they are built
# from and call each other by.
set(SLUICE_CUDA_ABI "")
foreach(header backend.h quant.h cuda.h cuda/module.h)
  set(header ${PROJECT_SOURCE_DIR}/kernels/${header})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${header})
  file(SHA256 ${header} hash)
  string(SHA256 SLUICE_CUDA_ABI "${SLUICE_CUDA_ABI}${hash}")
endforeach()
