#pragma once

// SEQGPU_API marks what a shared build exports; SEQGPU_HD marks pure maths that a GPU compiler also builds.
#if defined(SEQGPU_SHARED_BUILD) && defined(__GNUC__)
#define SEQGPU_API __attribute__((visibility("default")))
#else
#define SEQGPU_API
#endif

#if defined(__CUDACC__)
#define SEQGPU_HD __host__ __device__
#else
#define SEQGPU_HD
#endif
