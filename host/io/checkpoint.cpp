// A checkpoint is a safetensors file whose metadata carry a hash of everything else in it: the header as it would be
// with the hash all zeros, then the data. Reading it back makes the same header again, so no byte goes unverified.
#include "seqgpu/checkpoint.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <system_error>

#include "io/file.hpp"
#include "io/safetensors_header.hpp"
#include "io/safetensors_layout.hpp"

namespace seqgpu {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kFilePrefix = "checkpoint-", kFileSuffix = ".safetensors";
constexpr std::string_view kParameters = "parameters/", kTrainer = "trainer/";
constexpr std::string_view kReserved = "seqgpu.";
constexpr const char* kFormatKey = "seqgpu.checkpoint";
constexpr const char* kHashKey = "seqgpu.hash";
constexpr const char* kStepKey = "seqgpu.step";
constexpr const char* kFormat = "1";
const std::string kNoHash(32, '0');

constexpr const char* kSave = "save_checkpoint";
constexpr const char* kLoad = "load_latest_checkpoint";

std::string hash_of(const io::SafetensorsLayout& layout) {
  XXH3_state_t state;
  XXH3_128bits_reset(&state);
  for (const io::Bytes part : layout.parts()) {
    if (!part.empty()) XXH3_128bits_update(&state, part.data(), part.size());
  }
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(&state));
  std::string text;
  for (const unsigned char byte : canonical.digest) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

std::string file_name(std::int64_t step) {
  return std::string(kFilePrefix) + std::to_string(step) + std::string(kFileSuffix);
}

// Only names that save_checkpoint() gives: checkpoint-best.safetensors and checkpoint-007.safetensors are the user's.
std::optional<std::int64_t> step_of(const std::string& name) {
  if (!name.starts_with(kFilePrefix) || !name.ends_with(kFileSuffix)) return std::nullopt;
  std::int64_t step = 0;
  std::from_chars(name.data() + kFilePrefix.size(), name.data() + name.size(), step);
  if (step < 0 || name != file_name(step)) return std::nullopt;
  return step;
}

bool is_leftover(const std::string& name) {
  const std::size_t suffix = name.find(io::kTemporarySuffix);
  return suffix != std::string::npos && step_of(name.substr(0, suffix));
}

struct Listing {
  std::vector<std::int64_t> steps;  // newest first
  std::vector<fs::path> leftovers;
};

Listing list(const std::string& folder, std::error_code& error) {
  Listing listing;
  fs::directory_iterator at(folder, error);
  if (error == std::errc::no_such_file_or_directory) error.clear();
  for (; !error && at != fs::directory_iterator(); at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (const auto step = step_of(name)) {
      listing.steps.push_back(*step);
    } else if (is_leftover(name)) {
      listing.leftovers.push_back(at->path());
    }
  }
  std::ranges::sort(listing.steps, std::ranges::greater{});
  return listing;
}

// Failing to delete does no harm to the checkpoint just saved, and the next save tries again: so no error is raised.
void clean(const std::string& folder, std::int64_t saved, int keep) {
  std::error_code ignored;
  int kept = 1;
  const Listing listing = list(folder, ignored);
  for (const std::int64_t step : listing.steps) {
    if (step < saved && ++kept > keep) fs::remove(fs::path(folder) / file_name(step), ignored);
  }
  for (const fs::path& leftover : listing.leftovers) fs::remove(leftover, ignored);
}

// Throws Error for anything that is not exactly what save_checkpoint() wrote for this step.
Checkpoint load(const std::string& path, std::int64_t step) {
  const auto refuse = [&](const std::string& detail, ErrorCode code = ErrorCode::invalid_file) {
    throw Error(code, kLoad, path, detail);
  };
  TensorFile file = read_safetensors(path);
  const auto take = [&](const char* key) {
    const auto node = file.metadata.extract(key);
    if (node.empty()) refuse("has no metadata \"" + std::string(key) + "\"");
    return node.mapped();
  };
  const std::string stored = take(kHashKey);
  file.metadata[kHashKey] = kNoHash;
  const std::string computed = hash_of(io::lay_out(io::views_of(file.tensors), file.metadata));
  if (stored != computed) refuse("is damaged: its content has the hash " + computed + ", not " + io::in_quotes(stored));
  take(kHashKey);
  // After the hash: a damaged file must not pass for one of another version.
  const std::string format = take(kFormatKey);
  if (format != kFormat) {
    refuse("has checkpoint format " + io::in_quotes(format) + "; this library reads format 1", ErrorCode::unsupported);
  }
  if (take(kStepKey) != std::to_string(step)) refuse("was saved for another step than its name says");

  Checkpoint checkpoint;
  checkpoint.step = step;
  while (!file.tensors.empty()) {
    auto node = file.tensors.extract(file.tensors.begin());
    const bool parameter = node.key().starts_with(kParameters);
    if (!parameter && !node.key().starts_with(kTrainer)) refuse("has the stray tensor " + io::in_quotes(node.key()));
    node.key().erase(0, (parameter ? kParameters : kTrainer).size());
    (parameter ? checkpoint.parameters : checkpoint.trainer).insert(std::move(node));
  }
  checkpoint.metadata = std::move(file.metadata);
  return checkpoint;
}

}  // namespace

void save_checkpoint(const std::string& folder, std::int64_t step, const Checkpoint& checkpoint, int keep) {
  const auto refuse = [](const std::string& argument, const std::string& detail) {
    throw Error(ErrorCode::invalid_argument, kSave, argument, detail);
  };
  if (step < 0) refuse("step", "must not be negative, got " + std::to_string(step));
  if (keep < 1) refuse("keep", "must be at least 1, got " + std::to_string(keep));
  for (const auto& [key, value] : checkpoint.metadata) {
    if (key.starts_with(kReserved))
      refuse("metadata", "has the key " + io::in_quotes(key) + ": \"seqgpu.\" is reserved");
  }
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw Error(ErrorCode::io_failure, kSave, folder, "cannot be created: " + error.message());

  io::TensorViews views;
  for (const auto& [name, tensor] : checkpoint.parameters) views.emplace(std::string(kParameters) + name, &tensor);
  for (const auto& [name, tensor] : checkpoint.trainer) views.emplace(std::string(kTrainer) + name, &tensor);
  auto metadata = checkpoint.metadata;
  metadata[kFormatKey] = kFormat;
  metadata[kStepKey] = std::to_string(step);
  metadata[kHashKey] = kNoHash;
  metadata[kHashKey] = hash_of(io::lay_out(views, metadata));

  const io::SafetensorsLayout layout = io::lay_out(views, metadata);
  io::write_parts_atomically((fs::path(folder) / file_name(step)).string(), layout.parts());
  clean(folder, step, keep);
}

std::optional<Checkpoint> load_latest_checkpoint(const std::string& folder) {
  std::error_code error_code;
  const Listing listing = list(folder, error_code);
  if (error_code) throw Error(ErrorCode::io_failure, kLoad, folder, "cannot be listed: " + error_code.message());
  std::vector<std::string> skipped;
  for (const std::int64_t step : listing.steps) {
    try {
      Checkpoint checkpoint = load((fs::path(folder) / file_name(step)).string(), step);
      checkpoint.skipped = std::move(skipped);
      return checkpoint;
    } catch (const Error& error) {
      const bool later_format = error.code() == ErrorCode::unsupported && error.operation() == kLoad;
      if (error.code() == ErrorCode::out_of_memory || later_format) throw;
      skipped.emplace_back(error.what());
    }
  }
  if (skipped.empty()) return std::nullopt;
  std::string all = "has checkpoints, but none that is intact:";
  for (const std::string& why : skipped) all += "\n  " + why;
  throw Error(ErrorCode::invalid_file, kLoad, folder, all + "\nRemove them to start afresh.");
}

}  // namespace seqgpu
