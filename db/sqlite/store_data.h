// What a Store is made of, and the words its three .cpp files share.
#pragma once

#include "db/sqlite/connection.h"
#include "db/store.h"

namespace sluice::db {

struct Store::Data {
  sqlite::Connection connection;
};

namespace sqlite {

// Within a transaction: records the event and moves the job. False, and nothing recorded, when the
// job is not in `expected` or the event does not apply there.
bool move_job(Connection& connection, jobs::JobId id, jobs::JobState expected,
              const jobs::JobEvent& event);

// An event that applies in every state (a note, a conflict).
void record_event(Connection& connection, jobs::JobId id, const jobs::JobEvent& event);

std::optional<Job> find_job(const Connection& connection, jobs::JobId id);

}  // namespace sqlite
}  // namespace sluice::db
