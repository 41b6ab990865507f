// Any bytes: NgramModel::parse either refuses them as invalid_file or gives a model whose scores are numbers.
#include <cmath>
#include <cstdint>
#include <string_view>

#include "fuzz/refusals.hpp"
#include "seqgpu/decode/ngram_model.hpp"

namespace {

using seqgpu::decode::NgramModel;

using fuzz::only_invalid_file;
using fuzz::require;

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
  only_invalid_file([&] { check(NgramModel::parse(text, "fuzz"), text); });
  return 0;
}
