#include "task.hpp"

#include "tools/seqgpu/speech/task.hpp"
#include "tools/seqgpu/tagging/task.hpp"

namespace seqgpu::tool {

std::unique_ptr<Task> make_task(const Device& device, const Config& config) {
  if (config.task == "transcribe") {
    return std::make_unique<SpeechTask>(device, load_speech_corpus(config));
  }
  return std::make_unique<TaggingTask>(device, config, load_corpus(config));
}

}  // namespace seqgpu::tool
