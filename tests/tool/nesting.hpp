#pragma once

#include <string>
#include <vector>

namespace seqgpu::tool {

// What is wrong with the nesting of tags, or empty. Knows no CDATA and no comments: the report has none.
inline std::string nesting_error(const std::string& html) {
  std::vector<std::string> open;
  for (std::size_t at = html.find('<'); at != std::string::npos; at = html.find('<', at + 1)) {
    if (html.compare(at, 2, "<!") == 0) continue;
    const std::size_t end = html.find('>', at);
    if (end == std::string::npos) return "a tag has no end";
    const std::string tag = html.substr(at + 1, end - at - 1);
    if (tag.find('<') != std::string::npos) return "< within a tag: " + tag;
    if (tag.back() == '/') continue;
    if (tag.front() == '/') {
      if (open.empty() || open.back() != tag.substr(1)) return "unexpected <" + tag + ">";
      open.pop_back();
    } else {
      open.push_back(tag.substr(0, tag.find(' ')));
    }
  }
  return open.empty() ? "" : "open: " + open.back();
}

}  // namespace seqgpu::tool
