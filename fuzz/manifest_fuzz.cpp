// Any bytes: parse_manifest either refuses them as invalid_file or gives utterances that writing and symbol tables hold
// on to.
#include <cstdint>
#include <string_view>

#include "fuzz/refusals.hpp"
#include "seqgpu/data/manifest.hpp"

namespace {

using namespace seqgpu::data;

using fuzz::only_invalid_file;
using fuzz::require;

void check(const std::vector<Utterance>& utterances) {
  const auto back = parse_manifest(format_manifest(utterances), "written").utterances;
  require(back.size() == utterances.size());
  for (std::size_t i = 0; i < back.size(); ++i) {
    require(back[i].path == utterances[i].path && back[i].transcript == utterances[i].transcript);
  }
  for (const auto unit : {TranscriptUnit::characters, TranscriptUnit::words}) {
    const auto table = SymbolTable::build(utterances, unit);
    require(SymbolTable::from_string(table.to_string()).to_string() == table.to_string());
    for (const Utterance& utterance : utterances) {
      require(table.decode(table.encode(utterance.transcript)) == utterance.transcript);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  only_invalid_file([&] { check(parse_manifest(text, "fuzz").utterances); });
  only_invalid_file([&] { check(parse_manifest(text, "fuzz", "", {.skip_bad = 4}).utterances); });
  only_invalid_file([&] {
    const auto table = SymbolTable::from_string(text);
    require(table.to_string() == text);
  });
  return 0;
}
