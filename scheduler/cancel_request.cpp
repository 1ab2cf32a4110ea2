#include "scheduler/cancel_request.h"

#include <filesystem>
#include <fstream>
#include <string>

#include "jobs/files.h"

namespace sluice::scheduler {

void publish_cancel_request(const jobs::Layout& layout) {
  jobs::publish_file_once(layout.cancel_request(), "");
}

bool is_cancel_requested(const jobs::Layout& layout) {
  return std::filesystem::exists(layout.cancel_request());
}

void withdraw_cancel_request(const jobs::Layout& layout) {
  std::filesystem::remove(layout.cancel_request());
}

void note_cancel_asked(const jobs::Layout& layout, double now_unix_s) {
  // In place: a new file would be a new request, and this one may be withdrawn by now.
  std::ofstream file(layout.cancel_request(), std::ios::in | std::ios::out);
  file << std::to_string(now_unix_s) + "\n";
}

double cancel_asked_unix_s(const jobs::Layout& layout) {
  std::ifstream file(layout.cancel_request());
  double asked_unix_s = 0;
  file >> asked_unix_s;
  return asked_unix_s;
}

}  // namespace sluice::scheduler
