#include <algorithm>
#include <charconv>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "scheduler/cli/commands.h"
#include "scheduler/verify.h"

namespace sluice::scheduler::cli {
namespace {

using Json = nlohmann::ordered_json;

struct VerifyOptions {
  std::string a, b;
  bool partial = false;
};

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// A job's number; a file of that name is ./17.
std::optional<jobs::JobId> job_number(const std::string& word) {
  jobs::JobId id = 0;
  const char* const end = word.data() + word.size();
  const auto [last, error] = std::from_chars(word.data(), end, id);
  return error == std::errc() && last == end && id > 0 ? std::optional(id) : std::nullopt;
}

struct Side {
  AnswerSource source;
  std::vector<std::string> notes;
};

Side job_side(Session& session, jobs::JobId id, bool partial) {
  session.job(id);  // before anything else is looked at
  session.catch_up(id);
  const auto job = session.job(id);
  if (!partial && !jobs::is_final(job.state)) {
    throw Error(ExitStatus::usage, "job " + std::to_string(id) + " is " +
                                       std::string(to_string(job.state)) +
                                       "; wait for it, or compare what there is with --partial");
  }
  Side side{.source = answers_of_job(session.store(), job), .notes = {}};
  const auto missing = job.prompts_total - job.prompts_ok - job.prompts_failed;
  if (missing > 0) {
    side.notes.push_back(plural(missing, "prompt") + " of job " + std::to_string(id) +
                         (missing == 1 ? " has" : " have") + " no answer" +
                         (jobs::is_final(job.state) ? "" : " yet"));
  }
  return side;
}

Side side_of(Session& session, const std::string& word, bool partial) {
  if (const auto id = job_number(word)) return job_side(session, *id, partial);
  return {.source = answers_in_file(word), .notes = {}};
}

void note_lines(const AnswerSource& source, const SkippedLines& skipped, std::int64_t answers,
                std::vector<std::string>& notes) {
  if (skipped.count == 0) return;
  const std::string lines =
      source.name + ": " + plural(skipped.count, "line") + " left out, " + skipped.first;
  if (answers == 0) {
    throw Error(ExitStatus::usage, lines +
                                       "; it takes result lines, as `sluice export` writes them "
                                       "with --format jsonl");
  }
  notes.push_back(lines);
}

void note_repeated(const AnswerSource& source, std::int64_t repeated,
                   std::vector<std::string>& notes) {
  if (repeated == 0) return;
  notes.push_back(source.name + ": " + plural(repeated, "more answer") +
                  " to prompts that have one; the first counts");
}

std::vector<std::string> notes_of(const Side& a, const Side& b, const Comparison& comparison) {
  std::vector<std::string> notes = a.notes;
  notes.insert(notes.end(), b.notes.begin(), b.notes.end());
  note_lines(a.source, comparison.skipped_a, comparison.answers + comparison.only_a.count, notes);
  note_lines(b.source, comparison.skipped_b, comparison.answers + comparison.only_b.count, notes);
  note_repeated(a.source, comparison.repeated_a, notes);
  note_repeated(b.source, comparison.repeated_b, notes);
  return notes;
}

// ---- for people

std::string sample_of(int sample) {
  return sample == 0 ? "" : ", sample " + std::to_string(sample);
}

std::string headline(const Side& a, const Side& b, const Comparison& comparison, bool partial) {
  const std::string who = a.source.name + " and " + b.source.name + ": ";
  if (comparison.answers == 0) return who + "no prompt has an answer in both";
  const std::string what =
      plural(comparison.answers, "answer") + ", " + plural(comparison.tokens, "token");
  if (comparison.different > 0) {
    return who + with_commas(comparison.different) + " of " + what +
           (comparison.different == 1 ? ", differs" : ", differ");
  }
  return who + what + (comparison.same(partial) ? ": the same" : " are the same, but not all");
}

std::string tokens_text(const Difference& difference, const DifferingAnswer& side) {
  if (difference.what != "token") return "";
  std::string text = "tokens";
  if (difference.tokens_from > 0) text += " ...";
  for (std::size_t i = 0; i < side.tokens.size(); ++i) {
    const bool here = difference.tokens_from + static_cast<std::int64_t>(i) == difference.position;
    const std::string token = std::to_string(side.tokens[i]);
    text += here ? " [" + token + "]" : " " + token;
  }
  return text + (side.value.empty() ? " [end]" : "") + "   ";
}

void say_difference(Session& session, const Side& a, const Side& b, const Difference& difference) {
  std::string what = difference.what;
  if (difference.position >= 0) what += " " + with_commas(difference.position);
  session.say("  first   prompt " + dump(difference.id) + sample_of(difference.sample) + ": " +
              what + " (from 0)");
  const std::size_t width = std::max(a.source.name.size(), b.source.name.size());
  for (const auto& [side, shown] : {std::pair(&a, &difference.a), std::pair(&b, &difference.b)}) {
    std::string line = "  " + side->source.name +
                       std::string(width - side->source.name.size() + 2, ' ') +
                       tokens_text(difference, *shown);
    if (difference.what != "token" && !shown->value.empty()) line += shown->value + "   ";
    session.say(line + "text " + dump(shown->text));
  }
  if (difference.a.prompt_tokens != difference.b.prompt_tokens) {
    session.say("  the prompts have " + with_commas(difference.a.prompt_tokens) + " and " +
                with_commas(difference.b.prompt_tokens) +
                " tokens: another prompt, tokenizer or chat template");
  }
}

void say_unmatched(Session& session, const Side& has, const Side& lacks,
                   const Unmatched& unmatched) {
  if (unmatched.count == 0) return;
  session.say("  " + plural(unmatched.count, "answer") + " only in " + has.source.name +
              ", none in " + lacks.source.name + "; the first is prompt " +
              dump(unmatched.first_id) + sample_of(unmatched.first_sample));
}

void say(Session& session, const Side& a, const Side& b, const Comparison& comparison,
         const std::vector<std::string>& notes, const std::vector<std::string>& settings,
         bool partial) {
  session.say(headline(a, b, comparison, partial));
  if (comparison.first) say_difference(session, a, b, *comparison.first);
  say_unmatched(session, a, b, comparison.only_a);
  say_unmatched(session, b, a, comparison.only_b);
  for (const auto& note : notes) session.say("  note: " + note);
  if (settings.empty()) return;
  session.say("  the two were asked for different things:");
  for (const auto& setting : settings) session.say("    " + setting);
}

// ---- for programs

Json side_json(const DifferingAnswer& side) {
  return {{"value", side.value},
          {"tokens", side.tokens},
          {"text", side.text},
          {"prompt_tokens", side.prompt_tokens}};
}

Json difference_json(const Comparison& comparison) {
  if (!comparison.first) return nullptr;
  const Difference& first = *comparison.first;
  return {{"id", first.id},
          {"index", first.index},
          {"sample", first.sample},
          {"what", first.what},
          {"position", first.position < 0 ? Json(nullptr) : Json(first.position)},
          {"tokens_from", first.tokens_from},
          {"a", side_json(first.a)},
          {"b", side_json(first.b)}};
}

Json unmatched_json(const Unmatched& unmatched) {
  Json first = nullptr;
  if (unmatched.count > 0) {
    first = {{"id", unmatched.first_id}, {"sample", unmatched.first_sample}};
  }
  return {{"answers", unmatched.count}, {"first", first}};
}

void print_json(const Side& a, const Side& b, const Comparison& comparison,
                const std::vector<std::string>& notes, const std::vector<std::string>& settings,
                bool partial) {
  const Json json{{"a", a.source.name},
                  {"b", b.source.name},
                  {"same", comparison.same(partial)},
                  {"partial", partial},
                  {"answers", comparison.answers},
                  {"tokens", comparison.tokens},
                  {"answers_with_logprobs", comparison.logprobs},
                  {"different", comparison.different},
                  {"only_in_a", unmatched_json(comparison.only_a)},
                  {"only_in_b", unmatched_json(comparison.only_b)},
                  {"first_difference", difference_json(comparison)},
                  {"different_settings", settings},
                  {"notes", notes}};
  std::cout << json.dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
}

ExitStatus verify(Session& session, const VerifyOptions& options) {
  const Side a = side_of(session, options.a, options.partial);
  const Side b = side_of(session, options.b, options.partial);
  const Comparison comparison = compare(a.source, b.source);
  const auto notes = notes_of(a, b, comparison);
  std::vector<std::string> settings;
  if (a.source.spec && b.source.spec) {
    settings = differing_settings(*a.source.spec, *b.source.spec);
  }
  if (session.for_people()) {
    say(session, a, b, comparison, notes, settings, options.partial);
  } else {
    print_json(a, b, comparison, notes, settings, options.partial);
  }
  return comparison.same(options.partial) ? ExitStatus::ok : ExitStatus::failure;
}

}  // namespace

void add_verify(CommandLine& line) {
  auto options = std::make_shared<VerifyOptions>();
  CLI::App* app =
      add_command(line,
                  {.name = "verify",
                   .does = "do two jobs, or result files, hold the same tokens, prompt by prompt",
                   .examples = "  sluice verify 17 18\n"
                               "  sluice verify 17 answers.jsonl\n"
                               "  sluice verify 17 18 --partial   (what both have by now)\n"
                               "Exit status 0: the same, 1: they differ.",
                   .formats = {"table", "json"}},
                  [&session = line.session, options] { return verify(session, *options); });
  app->add_option("A", options->a, "a job's number, or a file of result lines")->required();
  app->add_option("B", options->b, "the same")->required();
  app->add_flag("--partial", options->partial, "only prompts that both have an answer to");
}

}  // namespace sluice::scheduler::cli
