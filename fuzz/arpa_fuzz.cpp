// Any bytes: NgramModel::parse either refuses them as invalid_file or gives a model whose scores are numbers.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "seqgpu/decode/ngram_model.hpp"
#include "seqgpu/error.hpp"

namespace {

using seqgpu::decode::NgramModel;

void require(bool condition) {
  if (!condition) std::abort();
}

void check(const NgramModel& model, std::string_view words) {
  require(model.order() >= 1);
  for (int n = 1; n <= model.order(); ++n) require(model.size(n) >= 0);
  NgramModel::History history = model.start();
  for (std::int32_t word = -1; word < model.size(1) && word < 64; ++word) {
    require(!std::isnan(model.score(history, word)));
    require(static_cast<int>(history.size()) < model.order());
  }
  require(!std::isnan(model.finish(history)));
  require(!std::isnan(model.sentence(words.substr(0, 256))));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    check(NgramModel::parse(text, "fuzz"), text);
  } catch (const seqgpu::Error& e) {
    require(e.code() == seqgpu::ErrorCode::invalid_file);
  }
  return 0;
}
