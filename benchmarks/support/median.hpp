#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace seqgpu::benchmark {

/// 0 of nothing; of an even number the mean of the middle two.
inline double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

}  // namespace seqgpu::benchmark
