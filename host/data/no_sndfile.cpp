#include "data/sound_decoder.hpp"

namespace seqgpu::data {

SoundDecoder libsndfile() {
  return {nullptr,
          "this build of libseqgpu reads WAV alone; install libsndfile (Debian: libsndfile1-dev) and build with "
          "-DSEQGPU_SNDFILE=ON"};
}

}  // namespace seqgpu::data
