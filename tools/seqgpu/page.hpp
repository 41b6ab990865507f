#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "training.hpp"

namespace seqgpu::tool {

/// Text with &, <, > and quotes replaced, and what XML cannot hold shown as U+FFFD.
std::string escape_html(std::string_view text);

/// A curve with axes, as <svg>. @param best  index to mark; -1: none
std::string curve_svg(const std::string& title, const std::vector<double>& values, int best);

/// The section with the curves of a training run.
std::string training_html(const TrainingResult& training, const Measure& measure);

/// A page that needs no other file: heading, summary, body, configuration. Well-formed XML if the body is.
/// @param title, summary  plain text  @param body  HTML
std::string html_page(const std::string& title, const std::string& summary, const std::string& body,
                      const Config& config);

}  // namespace seqgpu::tool
