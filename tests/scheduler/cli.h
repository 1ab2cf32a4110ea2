// The real `sluice` program on a site of its own, with a worker and a launcher that are fakes.
#pragma once

#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "slurm/command.h"
#include "tests/scheduler/site.h"

namespace sluice::scheduler {

inline constexpr const char* kRequests =
    R"({"custom_id":"c","method":"POST","url":"/v1/chat/completions","body":{"model":"m","n":2,)"
    R"("messages":[{"role":"user","content":"Hi"}]}})"
    "\n"
    R"({"custom_id":"bad","method":"POST","url":"/v1/embeddings","body":{"model":"m"}})"
    "\n"
    R"({"custom_id":"t","method":"POST","url":"/v1/completions","body":{"model":"m","prompt":"a"}})"
    "\n";

class Cli : public testing::Test {
 protected:
  slurm::CommandResult sluice(std::vector<std::string> words) {
    words.insert(words.begin(), SLUICE_PROGRAM);
    return run(words);
  }
  // The same, with its standard input from a file.
  slurm::CommandResult sluice_reading(const std::string& file, std::vector<std::string> words) {
    words.insert(words.begin(), {"bash", "-c", "exec \"$@\" <" + file, "bash", SLUICE_PROGRAM});
    return run(words);
  }
  slurm::CommandResult run(const std::vector<std::string>& words) {
    const auto path = [&](const char* name) { return (site_.dir / name).string(); };
    return slurm::run_command(
        words,
        {.timeout_s = tests::kDeadline_s,
         .env = {"SLUICE_DB=" + path("sluice.db"), "SLUICE_JOB_ROOT=" + path("jobs"),
                 "SLUICE_EXECUTOR=local", "SLUICE_WORKER=" SLUICE_FAKE_WORKER,
                 "SLUICE_LAUNCHER=" SLUICE_FAKE_MPIRUN, "XDG_CONFIG_HOME=" + path("config")}});
  }
  slurm::CommandResult submit(std::vector<std::string> more = {}) {
    std::vector<std::string> words = {"submit", site_.dir / "prompts.txt", "--model",
                                      site_.dir / "model.gguf"};
    words.insert(words.end(), more.begin(), more.end());
    return sluice(words);
  }

  tests::LocalSite site_;
};

}  // namespace sluice::scheduler
