#pragma once

#include <string_view>
#include <vector>

namespace seqgpu::data {

// One rule of the travel grammar: a name and its alternatives, each as likely as the next. In an alternative
//   @name         expands the rule of that name
//   <name:slot>   expands it and tags all its words with the slot
//   @name:slot    expands the rule; where it says <name:WHEN>, the slot is this one
// and other words stand for themselves. An alternative may be empty.
struct Rule {
  std::string_view name;
  std::vector<std::string_view> alternatives;
};

const std::vector<Rule>& travel_rules();

// Values that the test part draws from as well.
const std::vector<std::string_view>& held_out_cities();
const std::vector<std::string_view>& held_out_airlines();

}  // namespace seqgpu::data
