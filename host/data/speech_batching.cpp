#include "seqgpu/data/speech_batching.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

#include "data/random.hpp"
#include "seqgpu/data/audio_file.hpp"

namespace seqgpu::data {

namespace {

// Streams of random numbers that must not follow each other's path.
enum Purpose : std::uint64_t { kExampleOrder = 1, kBatchOrder = 2, kAugment = 3 };

std::uint64_t key(const SpeechBatchOptions& options, std::uint64_t epoch, Purpose purpose) {
  return mix(mix(options.seed, epoch), purpose);
}

[[noreturn]] void fail(const std::string& argument, const std::string& detail) {
  throw Error(ErrorCode::invalid_argument, "make_speech_batches", argument, detail);
}

void check(std::span<const SpeechExample> examples, const SpeechBatchOptions& options) {
  const auto positive = [](const char* argument, int value) {
    if (value < 1) fail(argument, "must be at least 1, got " + std::to_string(value));
  };
  positive("batch_size", options.batch_size);
  positive("frame_multiple", options.frame_multiple);
  positive("label_multiple", options.label_multiple);
  if (options.batch_frames < 0) {
    fail("batch_frames", "must not be negative, got " + std::to_string(options.batch_frames));
  }
  constexpr auto kMost = static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max());
  if (examples.size() > kMost) fail("examples", "must be fewer than 2^31");
}

void check(const SpeechExample& example, std::int64_t width) {
  const HostTensor& features = example.features;
  if (features.dtype != DType::f32 || features.shape.rank() != 2 || features.shape[1] != width) {
    fail("examples", "must all be [T, " + std::to_string(width) + "] f32, but that of " + example.source + " is " +
                         to_string(features.shape) + " " + to_string(features.dtype));
  }
  if (features.shape[0] > std::numeric_limits<std::int32_t>::max())
    fail("examples", "must be of fewer than 2^31 frames");
}

std::int64_t round_up(std::int64_t value, std::int64_t multiple) {
  return std::max<std::int64_t>(1, (value + multiple - 1) / multiple) * multiple;
}

std::int64_t frames_of(const SpeechExample& example) {
  return example.features.shape.rank() == 0 ? 0 : example.features.shape[0];
}

SpeechExample read_example(const Manifest& manifest, const Utterance& utterance, const FeatureExtractor& extractor,
                           const SymbolTable& symbols, const SpeechReadOptions& options) {
  SpeechExample example;
  example.source = manifest.name + ":" + std::to_string(utterance.line);
  example.labels = options.unknown == UnknownSymbols::refused ? symbols.encode(utterance.transcript)
                                                              : symbols.encode(utterance.transcript, example.unknown);
  example.features = extractor(
      read_audio(utterance.path, {.sample_rate = extractor.options().sample_rate, .channel = options.channel}));
  if (options.delta_order > 0)
    example.features = add_deltas(example.features, options.delta_order, options.delta_window);
  if (options.stack > 1 || options.stride > 1)
    example.features = stack_frames(example.features, options.stack, options.stride);
  const std::int64_t frames = example.features.shape[0], needed = least_frames(example.labels);
  if (frames < std::max<std::int64_t>(needed, 1)) {
    throw Error(ErrorCode::invalid_file, "read_wav", utterance.path,
                "gives " + std::to_string(frames) + " frames, but its transcript of " +
                    std::to_string(example.labels.size()) + " symbols needs at least " +
                    std::to_string(std::max<std::int64_t>(needed, 1)) +
                    "; shorten it, leave it out, or take a smaller frame shift");
  }
  return example;
}

}  // namespace

std::int64_t least_frames(std::span<const std::int32_t> labels) {
  auto frames = static_cast<std::int64_t>(labels.size());
  for (std::size_t i = 1; i < labels.size(); ++i) frames += labels[i] == labels[i - 1] ? 1 : 0;
  return frames;
}

SpeechSet read_speech(const Manifest& manifest, const FeatureExtractor& extractor, const SymbolTable& symbols,
                      const SpeechReadOptions& options) {
  if (options.channel < -1) throw Error(ErrorCode::invalid_argument, "read_speech", "channel", "must not be below -1");
  const HostTensor nothing(DType::f32, {0, 1});  // refuses options, not files
  add_deltas(nothing, options.delta_order, options.delta_window);
  stack_frames(nothing, options.stack, options.stride);
  SpeechSet set;
  for (const Utterance& utterance : manifest.utterances) {
    try {
      set.examples.push_back(read_example(manifest, utterance, extractor, symbols, options));
    } catch (const Error& e) {
      const bool missing = e.code() == ErrorCode::io_failure;
      const Error error(missing ? ErrorCode::io_failure : ErrorCode::invalid_file, "read_speech",
                        manifest.name + ":" + std::to_string(utterance.line), e.what());
      if (set.bad_utterances >= options.skip_bad) throw error;
      if (set.bad_utterances++ == 0) set.first_bad = error.what();
    }
  }
  return set;
}

std::vector<std::vector<int>> plan_speech_batches(std::span<const SpeechExample> examples,
                                                  const SpeechBatchOptions& options, std::uint64_t epoch) {
  check(examples, options);
  std::vector<int> order(examples.size());
  std::iota(order.begin(), order.end(), 0);
  if (options.shuffle) {
    Random random(key(options, epoch, kExampleOrder));
    shuffle(order, random);
  }
  const auto bucket = [&](int i) {
    return round_up(frames_of(examples[static_cast<std::size_t>(i)]), options.frame_multiple);
  };
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return bucket(a) < bucket(b); });

  std::vector<std::vector<int>> plan;
  const auto size = static_cast<std::size_t>(options.batch_size);
  const auto most_columns = [&](int longest) {
    if (options.batch_frames == 0) return size;
    return std::clamp<std::size_t>(static_cast<std::size_t>(options.batch_frames / bucket(longest)), 1, size);
  };
  for (const int i : order) {
    if (plan.empty() || plan.back().size() >= most_columns(i)) plan.emplace_back();
    plan.back().push_back(i);
  }
  if (options.full_batches) {
    for (std::vector<int>& batch : plan) batch.resize(most_columns(batch.back()), -1);
  }
  if (options.shuffle) {
    Random random(key(options, epoch, kBatchOrder));
    shuffle(plan, random);
  }
  return plan;
}

SpeechBatch make_speech_batch(std::span<const SpeechExample> examples, std::span<const int> columns,
                              const SpeechBatchOptions& options, std::uint64_t epoch) {
  check(examples, options);
  if (examples.empty() || columns.empty()) fail("columns", "must not be empty, nor the examples");
  const std::int64_t width = examples[0].features.shape.back();
  std::int64_t most_frames = 0, most_labels = 0;
  for (const int column : columns) {
    if (column < -1 || column >= static_cast<int>(examples.size())) {
      fail("columns", "must be from -1 to " + std::to_string(examples.size() - 1) + ", got " + std::to_string(column));
    }
    if (column < 0) continue;
    const SpeechExample& example = examples[static_cast<std::size_t>(column)];
    check(example, width);
    most_frames = std::max(most_frames, example.features.shape[0]);
    most_labels = std::max(most_labels, static_cast<std::int64_t>(example.labels.size()));
  }

  const auto n = static_cast<std::int64_t>(columns.size());
  const std::int64_t labels = round_up(most_labels, options.label_multiple);
  SpeechBatch batch;
  batch.features = HostTensor(DType::f32, {round_up(most_frames, options.frame_multiple), n, width});
  batch.lengths = HostTensor(DType::i32, {n});
  batch.targets = HostTensor(DType::i32, {n, labels});
  batch.target_lengths = HostTensor(DType::i32, {n});
  batch.example_index.assign(columns.begin(), columns.end());
  const auto to = batch.features.view<float>();
  for (std::size_t column = 0; column < columns.size(); ++column) {
    if (columns[column] < 0) continue;
    const auto index = static_cast<std::size_t>(columns[column]);
    const SpeechExample& example = examples[index];
    HostTensor features = example.features;
    if (options.augment) spec_augment(features, *options.augment, mix(key(options, epoch, kAugment), index));
    const auto from = features.view<float>();
    const auto frames = static_cast<std::size_t>(features.shape[0]), step = static_cast<std::size_t>(width);
    for (std::size_t t = 0; t < frames; ++t) {
      std::copy_n(from.begin() + static_cast<std::ptrdiff_t>(t * step), step,
                  to.begin() + static_cast<std::ptrdiff_t>((t * columns.size() + column) * step));
    }
    std::copy(example.labels.begin(), example.labels.end(),
              batch.targets.view<std::int32_t>().begin() + static_cast<std::ptrdiff_t>(column) * labels);
    batch.lengths.view<std::int32_t>()[column] = static_cast<std::int32_t>(frames);
    batch.target_lengths.view<std::int32_t>()[column] = static_cast<std::int32_t>(example.labels.size());
  }
  return batch;
}

std::vector<SpeechBatch> make_speech_batches(std::span<const SpeechExample> examples, const SpeechBatchOptions& options,
                                             std::uint64_t epoch) {
  std::vector<SpeechBatch> batches;
  for (const std::vector<int>& columns : plan_speech_batches(examples, options, epoch)) {
    batches.push_back(make_speech_batch(examples, columns, options, epoch));
  }
  return batches;
}

}  // namespace seqgpu::data
