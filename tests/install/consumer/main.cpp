#include <cstdio>

#include "seqgpu/dtype.hpp"

int main() { std::puts(seqgpu::to_string(seqgpu::DType::f32)); }
