#include "data/travel_grammar.hpp"

namespace seqgpu::data {

namespace {

// Names share words on purpose: "singapore" is a city and begins an airline, "united" is an airline and begins nothing
// else, "new" begins three cities, "first" is a class or a plain word, numbers count passengers or hours.
std::vector<Rule> value_rules() {
  return {
      {"city",
       {"taipei",   "oslo",      "new york",  "new orleans",   "new delhi", "york",     "paris",         "london",
        "boston",   "denver",    "tokyo",     "osaka",         "seoul",     "berlin",   "rome",          "madrid",
        "lisbon",   "san diego", "san jose",  "san francisco", "hong kong", "dublin",   "los angeles",   "vienna",
        "zurich",   "prague",    "athens",    "cairo",         "sydney",    "toronto",  "mexico city",   "geneva",
        "helsinki", "bangkok",   "singapore", "kuala lumpur",  "warsaw",    "brussels", "salt lake city"}},
      {"airline",
       {"united", "delta", "american", "lufthansa", "air france", "british airways", "singapore airlines",
        "cathay pacific", "klm", "eva air", "air canada", "swiss", "norwegian", "ryanair"}},
      {"month",
       {"january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
        "december"}},
      {"ordinal", {"1st",  "2nd",  "3rd",  "4th",  "5th",  "6th",  "7th",  "8th",  "9th",  "10th", "11th", "12th",
                   "13th", "14th", "15th", "16th", "17th", "18th", "19th", "20th", "21st", "22nd", "25th", "30th"}},
      {"weekday", {"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"}},
      {"date", {"@month @ordinal", "@month @ordinal", "@weekday", "next @weekday", "the @ordinal of @month"}},
      {"number", {"two", "three", "four", "five", "six", "seven"}},
      {"hour", {"1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "@number"}},
      {"clock", {"@hour am", "@hour pm", "@hour o'clock", "@hour", "noon", "half past @hour"}},
      {"when",
       {"on <date:WHEN>", "on <date:WHEN>", "on <date:WHEN>", "at <clock:WHEN>", "before <clock:WHEN>",
        "after <clock:WHEN>", "on <date:WHEN> at <clock:WHEN>"}},
      {"cabin", {"first class", "business class", "economy", "business", "premium economy", "coach"}},
  };
}

// Words that decide stand before the value, as a left-to-right model likes it.
std::vector<Rule> left_rules() {
  return {
      {"open",
       {"i would like to", "i want to", "please help me", "i need to", "can i", "we have to", "my boss wants to",
        "i am hoping to", "could you help us", "first i want to", "is it possible to"}},
      {"show", {"show me", "list", "are there", "find me", "what are the", "i am looking for", "please give me"}},
      {"aside",
       {"", "", "", "if at all possible", "with my two cats", "for a meeting", "as cheap as you can make it",
        "for the wedding of my sister", "with no more than one stop", "to see my aunt"}},
      {"from", {"from <city:departure>", "leaving <city:departure>", "out of <city:departure>"}},
      {"to", {"to <city:destination>", "into <city:destination>", "with destination <city:destination>"}},
      {"by", {"on <airline:airline>", "with <airline:airline>", "flying <airline:airline>"}},
      {"in", {"in <cabin:class>", "<cabin:class>", "travelling <cabin:class>"}},
      {"for",
       {"for <number:passengers> people", "for <number:passengers>", "for <number:passengers> of us",
        "for a party of <number:passengers>"}},
      {"back",
       {"coming back on <date:return_date>", "and back on <date:return_date>", "returning <date:return_date>",
        "with return on <date:return_date>"}},
      {"extra", {"", "", "@by", "@in", "@for", "@by @in", "@for @in", "@by @for"}},
      {"tail", {"", "", "@extra", "@back @extra", "please", "thanks"}},
      {"left",
       {"@open arrive in <city:destination> @aside @when:arrival_time @tail",
        "@open leave <city:departure> @aside @when:departure_time @tail",
        "@open arrive <city:destination> @when:arrival_time @tail", "leave <city:departure> @when:departure_time @tail",
        "arrive in <city:destination> @when:arrival_time @tail", "@show flights @from @to @when:departure_time @tail",
        "@show flights @to @from @extra @when:departure_time",
        "@show flights @from @to arriving @when:arrival_time @tail",
        "book a return ticket @from @to leaving @when:departure_time @back @extra",
        "book a ticket @to @for @from @when:departure_time",
        "@open be in <city:destination> @aside @when:arrival_time and start @from",
        "@open fly @from @aside @to and land @when:arrival_time @extra",
        "@open get away @from @aside @when:departure_time and go @to @extra"}},
  };
}

// Words that decide come after the value, next to it or far off. Each line has a twin that begins alike, as often, and
// gives the same words the other slot: before the last words nothing tells the two apart.
std::vector<Rule> right_rules() {
  return {
      {"wish", {"i want to", "i would like to", "we have to", "i need to", "my boss wants to"}},
      {"pause", {"", "", ",", "@aside", ", @aside ,"}},
      {"go_from", {"leave from", "depart from", "start from", "set off from"}},
      {"go_to", {"arrive in", "go to", "end up in", "fly to"}},
      {"right",
       {"<city:departure> @pause is where @wish @go_from @tail",
        "<city:destination> @pause is where @wish arrive @tail",
        "<city:departure> is the city @wish @go_from @when:departure_time @tail",
        "<city:destination> is the city @wish @go_to @when:arrival_time @tail",
        "@when:departure_time @pause @wish @go_from <city:departure> @tail",
        "@when:arrival_time @pause @wish arrive in <city:destination> @tail",
        "@when:departure_time @pause @wish leave <city:departure> for <city:destination> @extra",
        "@when:arrival_time @pause @wish be in <city:destination> @from @extra",
        "it is <city:departure> @pause that @wish @go_from @when:departure_time",
        "it is <city:destination> @pause that @wish @go_to @when:departure_time",
        "it is @when:departure_time @pause that @wish leave",
        "it is @when:arrival_time @pause that @wish arrive",
        "<city:departure> <city:destination> @when:departure_time , from the first to the second please",
        "<city:destination> <city:departure> @when:departure_time , from the second to the first please",
        "<city:departure> and <city:destination> @extra , in that order",
        "<city:destination> and <city:departure> @extra , the other way round",
        "@show flights @extra with <city:departure> @pause as the place of departure @tail",
        "@show flights @extra with <city:destination> @pause as the place of arrival @tail",
        "@when:departure_time @pause is when @wish leave <city:departure>",
        "@when:arrival_time @pause is when @wish land in <city:destination>",
        "on <date:departure_time> to <city:destination> @pause and back a week later",
        "on <date:return_date> to <city:departure> @pause is the way back"}},
  };
}

}  // namespace

const std::vector<Rule>& travel_rules() {
  static const std::vector<Rule> kRules = [] {
    std::vector<Rule> rules = value_rules();
    for (auto& more : {left_rules(), right_rules()}) rules.insert(rules.end(), more.begin(), more.end());
    rules.push_back({"sentence", {"@left", "@right"}});
    return rules;
  }();
  return kRules;
}

const std::vector<std::string_view>& held_out_cities() {
  static const std::vector<std::string_view> kCities = {"reykjavik", "buenos aires", "nairobi", "addis ababa",
                                                        "lima",      "marrakech",    "hanoi",   "porto alegre",
                                                        "tallinn",   "kathmandu"};
  return kCities;
}

const std::vector<std::string_view>& held_out_airlines() {
  static const std::vector<std::string_view> kAirlines = {"qantas", "icelandair", "aeroflot", "garuda indonesia",
                                                          "finnair"};
  return kAirlines;
}

}  // namespace seqgpu::data
