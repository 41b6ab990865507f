#pragma once

#include <cstdint>
#include <string>

namespace seqgpu::tool {

struct DemoOptions {
  std::string run;           ///< folder for the results; empty: the demo's own
  std::int64_t epochs = 0;   ///< 0: the demo's own
  std::int64_t threads = 0;  ///< 0: all that the machine allows
  std::string program;       ///< how this program was called, for the commands to try next
};

/// A tagger learns to fill the slots of travel requests.
void demo_slots(const DemoOptions& options);
/// A recogniser learns a language of chords.
void demo_speech(const DemoOptions& options);

}  // namespace seqgpu::tool
