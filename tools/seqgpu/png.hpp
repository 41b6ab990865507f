#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace seqgpu::tool {

/// A picture of one byte a pixel as a PNG file, dark violet for 0 to light yellow for 255, as a data: URI for pages
/// that need no other file. Nothing is compressed: it is for small pictures.
/// @param pixels  [height, width], the top row first
std::string heat_map_uri(std::span<const std::uint8_t> pixels, int width, int height);

}  // namespace seqgpu::tool
