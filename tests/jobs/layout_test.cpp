// Oracle: the tree in docs/job-directory.md, by hand.
#include "jobs/layout.h"

#include <gtest/gtest.h>

namespace sluice::jobs {
namespace {

TEST(Layout, NamesEveryFileOfAJobDirectory) {
  const Layout job("/root/7-0a1b2c3d");
  const RunId run{.attempt = 2, .restart = 1};
  EXPECT_EQ(job.spec(), "/root/7-0a1b2c3d/spec.json");
  EXPECT_EQ(job.prompts(), "/root/7-0a1b2c3d/prompts.jsonl");
  EXPECT_EQ(job.chat_template(), "/root/7-0a1b2c3d/chat_template.jinja");
  EXPECT_EQ(job.script(2), "/root/7-0a1b2c3d/script-2.sh");
  EXPECT_EQ(job.local(2), "/root/7-0a1b2c3d/local-2.json");
  EXPECT_EQ(job.cancel_request(), "/root/7-0a1b2c3d/cancel");
  EXPECT_EQ(job.set_aside(), "/root/7-0a1b2c3d/set-aside");
  EXPECT_EQ(job.claim(2, "cafe"), "/root/7-0a1b2c3d/claims/2-cafe");
  EXPECT_EQ(job.results(run, 3), "/root/7-0a1b2c3d/results/2.1-3.jsonl");
  EXPECT_EQ(job.started(run), "/root/7-0a1b2c3d/runs/2.1/started.json");
  EXPECT_EQ(job.progress(run, 3), "/root/7-0a1b2c3d/runs/2.1/progress-3.json");
  EXPECT_EQ(job.stage(run, 5), "/root/7-0a1b2c3d/runs/2.1/stage-5.json");
  EXPECT_EQ(job.trace(run, 5), "/root/7-0a1b2c3d/runs/2.1/trace-5.jsonl");
  EXPECT_EQ(job.metrics(run), "/root/7-0a1b2c3d/runs/2.1/metrics.json");
  EXPECT_EQ(job.exit(run), "/root/7-0a1b2c3d/runs/2.1/exit.json");
  EXPECT_EQ(job.worker_log(run), "/root/7-0a1b2c3d/runs/2.1/worker.log");
  EXPECT_EQ(job.script_log(2), "/root/7-0a1b2c3d/runs/2.0/slurm-%j.out");
}

}  // namespace
}  // namespace sluice::jobs
