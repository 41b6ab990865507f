#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "seqgpu/export.hpp"
#include "seqgpu/tensor.hpp"

namespace seqgpu {

/// What a safetensors file holds.
struct TensorFile {
  TensorMap tensors{};
  std::map<std::string, std::string> metadata{};
};

/// Reads a safetensors file. F32, F64, I32, I64 and U8 come as they are, F16 and BF16 as f32. Any file is safe to read:
/// nothing in it is run, no other file is opened, and no more memory is asked for than the file's own size accounts
/// for.
/// @throws Error{invalid_file} if the content breaks a rule of the format, with the byte near which it does
/// @throws Error{unsupported} for another dtype of the format, or more axes than a Shape has
/// @throws Error{io_failure} if the file is missing or cannot be read
SEQGPU_API TensorFile read_safetensors(const std::string& path);

/// The same, from memory.
/// @param name  what errors call the bytes
SEQGPU_API TensorFile parse_safetensors(std::span<const std::byte> bytes, const std::string& name);

/// The same tensors and metadata always give the same bytes: larger elements first, then by name; data starts on a
/// multiple of 8.
/// @throws Error{invalid_argument} for what no reader would accept: a name that is not UTF-8, more than 65,536 tensors
SEQGPU_API std::vector<std::byte> format_safetensors(const TensorFile& file);

/// Writes the bytes of format_safetensors() as write_file_atomically() does, without a second copy in memory.
SEQGPU_API void write_safetensors(const std::string& path, const TensorFile& file);

/// Replaces the file at `path`: a reader, or the next start after a crash, sees all of the old content or all of the
/// new. When it returns, the new content is on the disk. A symbolic link at `path` is replaced, not followed.
/// @throws Error{io_failure}; the temporary file is then gone. The old content is intact, save when the very last step
///   failed, syncing the folder: then the new content is in place but may not outlive a power cut
SEQGPU_API void write_file_atomically(const std::string& path, std::span<const std::byte> bytes);

/// All that a training run needs to go on.
struct Checkpoint {
  TensorMap parameters{};
  TensorMap trainer{};                            ///< optimiser moments, random state, position in the data
  std::map<std::string, std::string> metadata{};  ///< keys that begin with "seqgpu." are reserved

  std::int64_t step = 0;               ///< set by load_latest_checkpoint()
  std::vector<std::string> skipped{};  ///< set by load_latest_checkpoint(): newer files passed over, each with why
};

/// Writes `<folder>/checkpoint-<step>.safetensors` atomically, with a hash over all of its content, and creates the
/// folder if need be. Once the file is on the disk, of the checkpoints of earlier steps all but the newest `keep - 1`
/// are deleted, and so are temporary files that a killed run left. One process at a time may save into a folder.
/// @throws Error{invalid_argument} for a negative step, keep < 1 or a reserved metadata key
/// @throws Error{io_failure}; every earlier checkpoint is then still there
SEQGPU_API void save_checkpoint(const std::string& folder, std::int64_t step, const Checkpoint& checkpoint,
                                int keep = 2);

/// The newest checkpoint in the folder whose hash is right; nothing if the folder holds none or does not exist.
/// @throws Error{invalid_file} if there are checkpoints but every one is damaged, so that no run starts afresh unasked
/// @throws Error{unsupported} if the newest intact one is of a later format than this library reads
SEQGPU_API std::optional<Checkpoint> load_latest_checkpoint(const std::string& folder);

}  // namespace seqgpu
