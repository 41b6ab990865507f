#include <algorithm>
#include <cstring>

#include "device/cpu/instantiate.hpp"
#include "device/cpu/table.hpp"
#include "device/input_errors.hpp"

// Operations that move elements: fill, copy, rows of a table, concat, slice, context window.
namespace seqgpu::device::cpu {
namespace {

template <class T>
void copy(T* to, const T* from, std::int64_t count) {
  if (count > 0) std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(T));
}

/// f(first, last) for rows of `width` elements, in fixed tiles.
template <class F>
void for_rows(const Arguments& a, std::int64_t rows, std::int64_t width, F&& f) {
  const std::int64_t tile = std::max<std::int64_t>(kTile / std::max<std::int64_t>(width, 1), 1);
  a.parallel->for_each((rows + tile - 1) / tile, [&](std::int64_t i) { f(i * tile, std::min(rows, (i + 1) * tile)); });
}

/// A row that is read next: the processor does not foresee rows that lie apart, and another core may have written it.
template <class T>
void fetch(const T* from, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += 64 / std::int64_t{sizeof(T)}) __builtin_prefetch(from + i);
}

void check_ids(const std::int32_t* ids, std::int64_t count, std::int64_t vocabulary) {
  for (std::int64_t i = 0; i < count; ++i) {
    if (ids[i] < 0 || ids[i] >= vocabulary) {
      throw id_error(vocabulary, ids[i], i);
    }
  }
}

}  // namespace

void check_lengths(const char* operation, const std::int32_t* lengths, std::int64_t N, std::int64_t T) {
  for (std::int64_t n = 0; lengths && n < N; ++n) {
    if (lengths[n] < 0 || lengths[n] > T) {
      throw length_error(operation, n, lengths[n], T);
    }
  }
}

template <class T>
void compute(const op::FillDesc& d, const Arguments& a) {
  std::fill_n(out<T>(a, 0), d.count, static_cast<T>(d.value));
}

template <class T>
void compute(const op::CopyDesc& d, const Arguments& a) {
  copy(out<T>(a, 0), in<T>(a, 0), d.count);
}

template <class T>
void compute(const op::GatherDesc& d, const Arguments& a) {
  const auto* ids = in<std::int32_t>(a, 1);
  check_ids(ids, d.count, d.vocabulary);
  for_rows(a, d.count, d.width, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i)
      copy(out<T>(a, 0) + i * d.width, in<T>(a, 0) + ids[i] * d.width, d.width);
  });
}

template <class T>
void compute(const op::GatherBackwardDesc& d, const Arguments& a) {
  const auto* ids = in<std::int32_t>(a, 0);
  check_ids(ids, d.count, d.vocabulary);  // forward's check may come later: nothing here depends on it
  const T* dy = in<T>(a, 1);
  T* dtable = out<T>(a, 0);
  std::fill_n(dtable, d.vocabulary * d.width, T(0));
  for (std::int64_t i = 0; i < d.count; ++i) {
    T* row = dtable + ids[i] * d.width;
    for (std::int64_t e = 0; e < d.width; ++e) row[e] += dy[i * d.width + e];
  }
}

template <class T>
void compute(const op::ConcatDesc& d, const Arguments& a) {
  std::int64_t width = 0;
  for (const std::int64_t extent : d.extents) width += extent * d.inner;
  for_rows(a, d.outer, width, [&](std::int64_t first, std::int64_t last) {
    T* y = out<T>(a, 0) + first * width;
    for (std::int64_t o = first; o < last; ++o) {
      for (std::size_t part = 0; part < d.extents.size(); ++part) {
        const std::int64_t run = d.extents[part] * d.inner;
        const T* from = in<T>(a, static_cast<int>(part)) + o * run;
        if (o + 1 < last) fetch(from + run, run);
        copy(y, from, run);
        y += run;
      }
    }
  });
}

template <class T>
void compute(const op::SliceDesc& d, const Arguments& a) {
  const std::int64_t run = (d.end - d.begin) * d.inner, width = d.extent * d.inner;
  for_rows(a, d.outer, run, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t o = first; o < last; ++o) {
      const T* from = in<T>(a, 0) + o * width + d.begin * d.inner;
      if (o + 1 < last) fetch(from + width, run);
      copy(out<T>(a, 0) + o * run, from, run);
    }
  });
}

template <class T>
void compute(const op::SliceBackwardDesc& d, const Arguments& a) {
  const std::int64_t begin = d.begin * d.inner, end = d.end * d.inner, width = d.extent * d.inner;
  for_rows(a, d.outer, width, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t o = first; o < last; ++o) {
      T* dx = out<T>(a, 0) + o * width;
      std::fill_n(dx, begin, T(0));
      copy(dx + begin, in<T>(a, 0) + o * (end - begin), end - begin);
      std::fill(dx + end, dx + width, T(0));
    }
  });
}

template <class T>
void compute(const op::WindowDesc& d, const Arguments& a) {
  const T* x = in<T>(a, 0);
  const auto* lengths = in<std::int32_t>(a, 1);
  T* y = out<T>(a, 0);
  check_lengths("context_window", lengths, d.N, d.T);
  for (std::int64_t t = 0; t < d.T; ++t) {
    for (std::int64_t n = 0; n < d.N; ++n) {
      const std::int64_t length = lengths ? lengths[n] : d.T;
      for (std::int64_t s = t - d.radius; s <= t + d.radius; ++s, y += d.E) {
        if (t < length && s >= 0 && s < length) {
          copy(y, x + (s * d.N + n) * d.E, d.E);
        } else {
          std::fill_n(y, d.E, T(0));
        }
      }
    }
  }
}

template <class T>
void compute(const op::WindowBackwardDesc& d, const Arguments& a) {
  const T* dy = in<T>(a, 0);
  const auto* lengths = in<std::int32_t>(a, 1);
  check_lengths("context_window", lengths, d.N, d.T);
  T* dx = out<T>(a, 0);
  const std::int64_t width = (2 * d.radius + 1) * d.E;
  for (std::int64_t s = 0; s < d.T; ++s) {
    for (std::int64_t n = 0; n < d.N; ++n, dx += d.E) {
      std::fill_n(dx, d.E, T(0));
      const std::int64_t length = lengths ? lengths[n] : d.T;
      if (s >= length) continue;
      // Step s stands at place s - t + radius of step t's window.
      for (std::int64_t t = std::max<std::int64_t>(0, s - d.radius); t <= std::min(length - 1, s + d.radius); ++t) {
        const T* part = dy + (t * d.N + n) * width + (s - t + d.radius) * d.E;
        for (std::int64_t e = 0; e < d.E; ++e) dx[e] += part[e];
      }
    }
  }
}

SEQGPU_INSTANTIATE(FillDesc)
SEQGPU_INSTANTIATE(CopyDesc)
SEQGPU_INSTANTIATE(GatherDesc)
SEQGPU_INSTANTIATE(GatherBackwardDesc)
SEQGPU_INSTANTIATE(ConcatDesc)
SEQGPU_INSTANTIATE(SliceDesc)
SEQGPU_INSTANTIATE(SliceBackwardDesc)
SEQGPU_INSTANTIATE(WindowDesc)
SEQGPU_INSTANTIATE(WindowBackwardDesc)

}  // namespace seqgpu::device::cpu
