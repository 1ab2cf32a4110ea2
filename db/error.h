// The one exception of db/: what was tried + on which database + what SQLite said + the fix.
#pragma once

#include <stdexcept>

namespace sluice::db {

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace sluice::db
