#include "seqgpu/decode/beam_search.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>

#include "decode/fusion.hpp"
#include "decode/prefix_tree.hpp"
#include "decode/sequences.hpp"
#include "seqgpu/error.hpp"

namespace seqgpu::decode {

namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();
constexpr std::int32_t kNone = -1;
constexpr double kRounding = 1e-6;  // far above that of a sum of log-probabilities in double

double log_add(double a, double b) {
  if (a < b) std::swap(a, b);
  return b == kNever ? a : a + std::log1p(std::exp(b - a));
}

// The alignments of a prefix that end in one way.
struct Ending {
  double sum = kNever;          // log of the sum of their probabilities
  double best = kNever;         // log-probability of the best of them
  std::int32_t timing = kNone;  // where that one places its labels

  Ending after(double log_prob) const { return {sum + log_prob, best + log_prob, timing}; }
};

Ending either(const Ending& a, const Ending& b) {
  const Ending& better = b.best > a.best ? b : a;
  return {log_add(a.sum, b.sum), better.best, better.timing};
}

// A label placed by an alignment, after `previous`.
struct Timing {
  std::int32_t previous, frame;
  double log_prob;
};

struct Beam {
  std::int32_t node = PrefixTree::kRoot;
  Ending blank, label;             // by what comes last
  std::vector<double> extensions;  // [C] what each label adds by the language; NaN: not asked yet; empty: none was
};

// A beam of the next frame, before it is known to survive.
struct Candidate {
  PrefixTree::Node prefix;
  std::int32_t node = kNone;  // kNone: not in the tree yet
  Ending blank, label;
  bool label_begins = false;  // the best alignment in `label` places the label at this frame,
  double log_prob = 0;        // with this log-probability
  double language = 0;        // terms of the prefix
  std::size_t beam = 0;       // that stays, where node is known
  double score = kNever;      // what ranks
};

void check_options(const BeamOptions& options) {
  const auto at_least = [](const char* name, std::int64_t value, std::int64_t least) {
    if (value >= least) return;
    throw Error(ErrorCode::invalid_argument, "beam_search", name,
                "must be >= " + std::to_string(least) + ", got " + std::to_string(value));
  };
  at_least("width", options.width, 0);
  at_least("n_best", options.n_best, 1);
  at_least("top_k", options.top_k, 0);
}

}  // namespace

struct BeamSearch::Impl {
  BeamOptions options;
  std::int64_t classes;
  std::int64_t frame = 0;
  PrefixTree tree;
  Fusion fusion;
  std::vector<Timing> timings;
  std::vector<Beam> beams;  // best first

  // Scratch of one frame.
  std::vector<Candidate> candidates;
  double floor = kNever;                            // longer prefixes below it are left out
  std::vector<std::int32_t> labels;                 // that may extend a prefix
  std::vector<std::int32_t> beam_of;                // [tree] index into beams, or kNone
  std::vector<std::int32_t> child_of;               // [C] the beam that a label leads to from the one at hand, or kNone
  std::vector<std::vector<std::int32_t>> children;  // [beams] the beams that extend each

  Impl(std::int64_t classes, const BeamOptions& options)
      : options(options), classes(classes), fusion(options.language, classes, options.blank) {
    Beam start;
    start.blank = {0, 0, kNone};
    beams.push_back(start);
    child_of.assign(static_cast<std::size_t>(classes), kNone);
  }

  void step(std::span<const float> row) {
    choose_labels(row);
    link_children();
    candidates.clear();
    for (std::size_t i = 0; i < beams.size(); ++i) stay(i, row);
    set_floor();
    for (std::size_t i = 0; i < beams.size(); ++i) extend(i, row);
    keep_best();
    ++frame;
  }

  void choose_labels(std::span<const float> row) {
    labels.resize(row.size());
    std::iota(labels.begin(), labels.end(), 0);
    labels.erase(labels.begin() + options.blank);
    const auto k = static_cast<std::size_t>(options.top_k);
    if (k == 0 || k >= labels.size()) return;
    const auto at = [&](std::int32_t c) { return row[static_cast<std::size_t>(c)]; };
    std::nth_element(labels.begin(), labels.begin() + options.top_k, labels.end(),
                     [&](auto a, auto b) { return at(a) > at(b) || (at(a) == at(b) && a < b); });
    labels.resize(k);
    std::sort(labels.begin(), labels.end());
  }

  void link_children() {
    beam_of.resize(static_cast<std::size_t>(tree.size()), kNone);
    for (std::size_t i = 0; i < beams.size(); ++i) beam_of[index(beams[i].node)] = static_cast<std::int32_t>(i);
    children.resize(std::max(children.size(), beams.size()));
    for (auto& list : children) list.clear();
    for (std::size_t i = 0; i < beams.size(); ++i) {
      const std::int32_t parent = tree[beams[i].node].parent;
      if (parent == kNone || beam_of[index(parent)] == kNone) continue;
      children[index(beam_of[index(parent)])].push_back(static_cast<std::int32_t>(i));
    }
    for (const Beam& beam : beams) beam_of[index(beam.node)] = kNone;
  }

  // The same prefix after a blank or a repeat of its last label.
  void stay(std::size_t i, std::span<const float> row) {
    const Beam& beam = beams[i];
    Candidate next;
    next.beam = i;
    next.language = fusion.score(beam.node);
    next.node = beam.node;
    next.prefix = tree[beam.node];
    next.blank = either(beam.blank, beam.label).after(row[index(options.blank)]);
    if (next.prefix.label != kNone) next.label = beam.label.after(row[index(next.prefix.label)]);
    candidates.push_back(next);
  }

  // A full beam's prefixes all stay, and merging only raises them: what is below them all cannot be among the best.
  void set_floor() {
    floor = kNever;
    if (options.width == 0 || candidates.size() < static_cast<std::size_t>(options.width)) return;
    floor = -kNever;
    for (const Candidate& c : candidates) floor = std::min(floor, log_add(c.blank.sum, c.label.sum) + c.language);
    floor -= kRounding;
  }

  // The prefix and one label more; candidates[j] is beams[j] staying.
  void extend(std::size_t i, std::span<const float> row) {
    Beam& beam = beams[i];
    const PrefixTree::Node prefix = tree[beam.node];
    const Ending any = either(beam.blank, beam.label);
    for (const auto child : children[i]) child_of[index(tree[beams[index(child)].node].label)] = child;
    for (const auto label : labels) {
      // A label follows itself only across a blank.
      const Ending& from = label == prefix.label ? beam.blank : any;
      const Ending longer = from.after(row[index(label)]);
      if (longer.sum == kNever) continue;
      if (child_of[index(label)] != kNone) {
        Candidate& known = candidates[index(child_of[index(label)])];
        known.label_begins = longer.best > known.label.best;
        known.log_prob = row[index(label)];
        known.label = either(known.label, longer);
      } else {
        const double added = extension(beam, label);
        if (added == kNever) continue;
        const double language = fusion.score(beam.node) + added;
        if (longer.sum + language < floor) continue;
        Candidate next;
        next.language = language;
        next.prefix = {beam.node, label, prefix.length + 1};
        next.label = longer;
        next.label_begins = true;
        next.log_prob = row[index(label)];
        candidates.push_back(next);
      }
    }
    for (const auto child : children[i]) child_of[index(tree[beams[index(child)].node].label)] = kNone;
  }

  double extension(Beam& beam, std::int32_t label) const {
    if (!fusion.active()) return 0;
    if (beam.extensions.empty()) {
      beam.extensions.assign(static_cast<std::size_t>(classes), std::numeric_limits<double>::quiet_NaN());
    }
    double& known = beam.extensions[index(label)];
    if (std::isnan(known)) known = fusion.extension(tree, beam.node, label);
    return known;
  }

  void keep_best() {
    for (Candidate& c : candidates) c.score = log_add(c.blank.sum, c.label.sum) + c.language;
    std::erase_if(candidates, [](const Candidate& c) { return c.score == kNever; });
    const auto better = [&](const Candidate& a, const Candidate& b) {
      return a.score > b.score || (a.score == b.score && tree.before(a.prefix, b.prefix));
    };
    const auto width = static_cast<std::size_t>(options.width);
    if (width > 0 && candidates.size() > width) {
      std::nth_element(candidates.begin(), candidates.begin() + options.width, candidates.end(), better);
      candidates.resize(width);
    }
    std::sort(candidates.begin(), candidates.end(), better);
    std::vector<Beam> kept;
    for (Candidate& c : candidates) {
      const bool stays = c.node != kNone;
      if (!stays) {
        c.node = tree.child(c.prefix.parent, c.prefix.label);
        fusion.add(tree, c.node);
      }
      if (c.label_begins) {
        timings.push_back({c.label.timing, static_cast<std::int32_t>(frame), c.log_prob});
        c.label.timing = static_cast<std::int32_t>(timings.size() - 1);
      }
      kept.push_back({c.node, c.blank, c.label, {}});
      if (stays) kept.back().extensions = std::move(beams[c.beam].extensions);
    }
    beams = std::move(kept);
  }

  Hypothesis hypothesis(const Beam& beam, double score) const {
    const Ending all = either(beam.blank, beam.label);
    Hypothesis h;
    h.labels = tree.labels(beam.node);
    h.frames.resize(h.labels.size());
    h.log_probs.resize(h.labels.size());
    std::int32_t timing = all.timing;
    for (auto u = h.labels.size(); u-- > 0; timing = timings[index(timing)].previous) {
      h.frames[u] = timings[index(timing)].frame;
      h.log_probs[u] = timings[index(timing)].log_prob;
    }
    h.log_prob = all.sum;
    h.score = score;
    return h;
  }

  std::vector<Hypothesis> best() const {
    struct Ranked {
      double score;
      const Beam* beam;
    };
    std::vector<Ranked> ranked;
    for (const Beam& beam : beams) {
      const double end = fusion.finish(tree, beam.node);
      if (end == kNever) continue;
      ranked.push_back({either(beam.blank, beam.label).sum + fusion.score(beam.node) + end, &beam});
    }
    std::sort(ranked.begin(), ranked.end(), [&](const Ranked& a, const Ranked& b) {
      return a.score > b.score || (a.score == b.score && tree.before(tree[a.beam->node], tree[b.beam->node]));
    });
    std::vector<Hypothesis> hypotheses;
    const auto n = std::min(ranked.size(), static_cast<std::size_t>(options.n_best));
    for (std::size_t i = 0; i < n; ++i) hypotheses.push_back(hypothesis(*ranked[i].beam, ranked[i].score));
    return hypotheses;
  }

  static std::size_t index(std::int32_t i) { return static_cast<std::size_t>(i); }
};

BeamSearch::BeamSearch(std::int64_t classes, const BeamOptions& options) {
  if (classes < 1 || classes > std::numeric_limits<std::int32_t>::max()) {
    throw Error(ErrorCode::invalid_argument, "beam_search", "classes",
                "must be from 1 to 2^31-1, got " + std::to_string(classes));
  }
  check_options(options);
  BeamOptions resolved = options;
  resolved.blank = resolve_blank("beam_search", options.blank, classes);
  impl_ = std::make_unique<Impl>(classes, resolved);
}

BeamSearch::~BeamSearch() = default;
BeamSearch::BeamSearch(BeamSearch&&) noexcept = default;
BeamSearch& BeamSearch::operator=(BeamSearch&&) noexcept = default;

void BeamSearch::push(std::span<const float> log_probs) {
  const auto C = static_cast<std::size_t>(impl_->classes);
  if (log_probs.size() % C != 0) {
    throw Error(ErrorCode::invalid_argument, "beam_search", "log_probs",
                "must be [T C], got " + std::to_string(log_probs.size()) + " values for C=" + std::to_string(C));
  }
  for (std::size_t t = 0; t < log_probs.size() / C; ++t) {
    check_row("beam_search", log_probs.subspan(t * C, C), [&] { return "log_probs[" + std::to_string(t); });
  }
  for (std::size_t t = 0; t < log_probs.size() / C; ++t) impl_->step(log_probs.subspan(t * C, C));
}

std::vector<Hypothesis> BeamSearch::best() const { return impl_->best(); }

std::int64_t BeamSearch::frames() const { return impl_->frame; }

std::vector<std::vector<Hypothesis>> beam_search(const FramesView& frames, const BeamOptions& options) {
  check_frames("beam_search", frames);
  const BeamSearch checked(frames.C, options);  // refuses what does not fit before any thread starts
  std::vector<std::vector<Hypothesis>> results(static_cast<std::size_t>(frames.N));
  for_each_sequence("beam_search", frames.N, options.threads, [&](std::int64_t n) {
    const SequenceView rows = sequence("beam_search", frames, n);
    BeamSearch search(frames.C, options);
    for (std::int64_t t = 0; t < rows.T; ++t) search.push(rows[t]);
    results[static_cast<std::size_t>(n)] = search.best();
  });
  return results;
}

}  // namespace seqgpu::decode
