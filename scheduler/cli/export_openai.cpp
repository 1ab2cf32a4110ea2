#include "scheduler/cli/export_openai.h"

#include <filesystem>

#include "jobs/layout.h"
#include "jobs/prompts.h"
#include "scheduler/openai_line.h"

namespace sluice::scheduler::cli {
namespace {

// Of a file or a folder.
std::string last_name(const std::filesystem::path& path) {
  return (path / "").parent_path().filename();
}

OpenAiJob openai_job(const db::Job& job, const jobs::JobSpec& spec) {
  return {.uid = job.uid,
          .model = spec.served_model_name.empty() ? last_name(job.model) : spec.served_model_name,
          .created_unix_s = spec.submitted_unix_s};
}

}  // namespace

// Joins prompts and answers, of which each request has as many as it has samples. One that has not
// all of them is left out.
void write_openai(const db::Store& store, const db::Job& job, std::ostream& out) {
  const auto spec = store.spec(job.id).value();
  const OpenAiJob names = openai_job(job, spec);
  jobs::PromptReader prompts(jobs::Layout(job.directory).prompts());
  OpenAiRequest request;
  bool is_whole = false;
  const auto finish = [&] {
    if (is_whole) out << to_openai_line(request, names) << "\n";
    is_whole = false;
  };
  const auto begin = [&](const jobs::Prompt& prompt) {
    if (prompt.sample > 0) return;
    finish();
    request = {.id = prompt.id,
               .index = prompt.index,
               .is_chat = prompt.chat || (spec.chat && !prompt.token_ids),
               .samples = {}};
    is_whole = true;
  };
  store.each_result(job.id, [&](const jobs::Result& result) {
    for (auto prompt = prompts.next(); prompt; prompt = prompts.next()) {
      begin(*prompt);
      if (prompt->index == result.index) break;
      is_whole = false;
    }
    request.samples.push_back(result);
  });
  if (const auto prompt = prompts.next()) {
    begin(*prompt);
    is_whole = false;
  }
  finish();
}

}  // namespace sluice::scheduler::cli
