// libsndfile, loaded when first needed: a program that reads no such file never maps it or its codecs, one built with
// it starts where it is missing, and who links libseqgpu links nothing more.
#include <dlfcn.h>
#include <sndfile.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

#include "data/sound_decoder.hpp"
#include "data/wave_options.hpp"

namespace seqgpu::data {

namespace {

constexpr const char* kLibrary = "libsndfile.so.1";
constexpr std::size_t kMostSamples = std::size_t{1} << 28;  // a few bytes of FLAC can stand for very many samples
constexpr sf_count_t kBlockFrames = 4096;

struct Library {
  decltype(&sf_open_virtual) open = nullptr;
  decltype(&sf_readf_float) read = nullptr;
  decltype(&sf_error) error = nullptr;
  decltype(&sf_strerror) message = nullptr;
  decltype(&sf_close) close = nullptr;
  std::string fault;  // empty: all of them were found
};

Library load() {
  Library library;
  void* handle = dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
  bool found = handle != nullptr;
  const auto take = [&](auto& function, const char* name) {
    if (!found) return;
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(handle, name));
    found = function != nullptr;
  };
  take(library.open, "sf_open_virtual");
  take(library.read, "sf_readf_float");
  take(library.error, "sf_error");
  take(library.message, "sf_strerror");
  take(library.close, "sf_close");
  if (!found) {
    const char* why = dlerror();
    library.fault = std::string(kLibrary) + " cannot be loaded (" + (why == nullptr ? "" : why) +
                    "); install it (Debian: libsndfile1)";
  }
  return library;
}

const Library& library() {
  static const Library loaded = load();
  return loaded;
}

// What libsndfile reads from: bytes, and where it stands in them.
struct Source {
  std::span<const std::byte> bytes;
  std::size_t at = 0;

  static Source& of(void* user) { return *static_cast<Source*>(user); }
  static sf_count_t size(void* user) { return static_cast<sf_count_t>(of(user).bytes.size()); }
  static sf_count_t tell(void* user) { return static_cast<sf_count_t>(of(user).at); }
  static sf_count_t write(const void*, sf_count_t, void*) { return 0; }

  static sf_count_t seek(sf_count_t offset, int whence, void* user) {
    const sf_count_t from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? tell(user) : size(user);
    // Offsets come from the file: any sum must stay inside.
    const sf_count_t to = offset < -from ? 0 : offset > size(user) - from ? size(user) : from + offset;
    of(user).at = static_cast<std::size_t>(to);
    return to;
  }

  static sf_count_t read(void* to, sf_count_t count, void* user) {
    Source& source = of(user);
    const std::size_t rest = source.bytes.size() - source.at;
    const std::size_t taken = count < 0 ? 0 : std::min(static_cast<std::size_t>(count), rest);
    if (taken > 0) std::memcpy(to, source.bytes.data() + source.at, taken);
    source.at += taken;
    return static_cast<sf_count_t>(taken);
  }
};

class Decoder {
 public:
  Decoder(std::span<const std::byte> bytes, std::string name, std::string format)
      : source_{bytes}, name_(std::move(name)), format_(std::move(format)) {
    SF_VIRTUAL_IO io = {Source::size, Source::seek, Source::read, Source::write, Source::tell};
    // Why it cannot be opened is kept in one place for all threads.
    static std::mutex opening;
    const std::lock_guard lock(opening);
    file_ = library().open(&io, SFM_READ, &info_, &source_);
    if (file_ == nullptr) fail("cannot be read as " + format_ + ": " + library().message(nullptr));
  }
  ~Decoder() { library().close(file_); }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  Waveform run(const WavOptions& options) {
    const auto channels = static_cast<std::uint32_t>(std::max(info_.channels, 0));
    const auto rate = static_cast<std::uint32_t>(std::max(info_.samplerate, 0));
    if (const std::string why = wave_refusal(channels, rate, options); !why.empty()) fail(why);
    Waveform wave{{}, info_.samplerate};
    const auto channel = static_cast<std::size_t>(std::max(options.channel, 0));
    std::vector<float> block(static_cast<std::size_t>(kBlockFrames) * channels);
    while (const auto frames = static_cast<std::size_t>(library().read(file_, block.data(), kBlockFrames))) {
      if (wave.samples.size() + frames > kMostSamples) {
        fail("holds more than " + std::to_string(kMostSamples) + " samples; split it");
      }
      for (std::size_t i = 0; i < frames; ++i) {
        const float sample = block[i * channels + channel];
        if (!std::isfinite(sample)) {
          fail("has a NaN or infinite sample, number " + std::to_string(wave.samples.size()));
        }
        wave.samples.push_back(sample);
      }
    }
    check_end(wave.samples.size());
    return wave;
  }

 private:
  void check_end(std::size_t read) const {
    if (library().error(file_) != SF_ERR_NO_ERROR) {
      fail("cannot be read beyond sample " + std::to_string(read) + ": " + library().message(file_));
    }
    const bool known = info_.frames > 0 && info_.frames < SF_COUNT_MAX;
    if (known && static_cast<std::uint64_t>(info_.frames) > read) {
      fail("is truncated: says " + std::to_string(info_.frames) + " samples, of which " + std::to_string(read) +
           " can be read");
    }
    if (read == 0) fail("holds no samples");
  }

  [[noreturn]] void fail(const std::string& detail) const {
    throw Error(ErrorCode::invalid_file, "read_audio", name_, detail);
  }

  Source source_;
  std::string name_, format_;
  SF_INFO info_ = {};
  SNDFILE* file_ = nullptr;
};

Waveform decode(std::span<const std::byte> bytes, const std::string& name, const std::string& format,
                const WavOptions& options) {
  return Decoder(bytes, name, format).run(options);
}

}  // namespace

SoundDecoder libsndfile() {
  if (!library().fault.empty()) return {nullptr, library().fault};
  return {decode, {}};
}

}  // namespace seqgpu::data
