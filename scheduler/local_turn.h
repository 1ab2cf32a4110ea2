// The order in which local jobs get the machine: that of their arrival. Each that waits has a
// ticket in a folder they share, locked for as long as its process lives, and waits for the one
// before it.
#pragma once

#include <filesystem>
#include <string>

namespace sluice::scheduler {

class LocalTurn {
 public:
  // Takes a ticket. Never fails: where there can be none, whoever looks first is first.
  explicit LocalTurn(const std::filesystem::path& folder);
  ~LocalTurn();
  LocalTurn(const LocalTurn&) = delete;
  LocalTurn& operator=(const LocalTurn&) = delete;

  bool has_come();  // nobody who came earlier still waits
  void give_up();   // the ticket; also when it has been used

 private:
  std::filesystem::path folder_;
  std::string name_;    // empty: no ticket
  std::string before_;  // the ticket that is waited for, or looked from
  int ticket_ = -1, ahead_ = -1;
};

}  // namespace sluice::scheduler
